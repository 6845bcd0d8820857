"""How much of a batch needs its image, by the budget of the blind arm: following from nothing, over the evidence of a finished run.

python benchmarks/renewal.py demo-run      # a run of `rap demo`

A sample's success in each arm is that of the run's rollouts; the model stands still. Groups are by wording. 60 batches of 16 prompts x 5
responses, 20 seeds. A group needs its image as far as its discrepancy says: success with the image less success without it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from rap_plugin.demo import POOL_PATH
from rap_plugin.hosts.follower import Follower
from rap_plugin.posterior.following import FollowOptions, begin, group_numbers, wording_of

SEEDS, STEPS, PROMPTS, RESPONSES = 20, 60, 16, 5


def follow(groups: list[int], image: np.ndarray, blind: np.ndarray, options: FollowOptions) -> tuple[float, float]:
    """Mean discrepancy of the rows that are asked, and the share of informative groups."""
    random = np.random.default_rng(options.seed)
    follower, needs, informative = Follower(begin(groups), options, PROMPTS), [], []
    for step in range(STEPS):
        rows = follower.rows_of(step)
        right = {row: (random.random(RESPONSES) < image[row]).astype(float).tolist() for row in rows}
        without: dict[int, list[float]] = {}
        for row in follower.renewals_of(step):
            without.setdefault(row, []).append(float(random.random() < blind[row]))
        informative.append(follower.tell(right, without)["rap/follow/informative"])
        needs.append(np.mean([image[row] - blind[row] for row in rows]))
    return float(np.mean(needs)), float(np.mean(informative))


def main(run: Path) -> None:
    names = [f"rap_{what}_{arm}" for arm in ("image", "blind") for what in ("right", "rollouts")]
    scores = pq.read_table(run / "scores.parquet", columns=["rap_row", *names])
    rows, *counts = (np.nan_to_num(column.to_numpy().astype(float)) for column in scores.columns)
    image, blind = ((right + 0.5) / (asked + 1) for right, asked in (counts[:2], counts[2:]))
    questions = pq.read_table(POOL_PATH, columns=["problem"]).take(rows.astype(int))["problem"].to_pylist()
    groups = group_numbers(list(map(wording_of, questions)))
    print("| `renew` | `image_weight` | discrepancy of the rows asked (95 %) | informative groups (95 %) |")
    print("| --- | --- | --- | --- |")
    for renew, weight in ((0.0, 0.5), (0.02, 0.5), (0.05, 0.5), (0.1, 0.5), (0.2, 0.5), (0.05, 1.0), (0.1, 1.0)):
        found = [
            follow(groups, image, blind, FollowOptions(RESPONSES, image_weight=weight, seed=seed, renew=renew))
            for seed in range(SEEDS)
        ]
        (needs, informative), half = np.mean(found, axis=0), 1.96 * np.std(found, axis=0, ddof=1) / SEEDS**0.5
        print(
            f"| {renew:g} | {weight:g} | {needs:.3f} ± {half[0]:.3f} | {100 * informative:.1f} ± {100 * half[1]:.1f} % |"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
