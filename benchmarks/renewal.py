"""What the budgets of following buy, the blind arm's and attention's: from nothing, over the evidence of a finished run.

python benchmarks/renewal.py demo-run      # a run of `rap demo`

A sample's success in each arm, and its share of attention-biased responses (psi above 0.1), are those of the run's rollouts; the model stands
still. Groups are by wording. 60 batches of 16 prompts x 5 responses, 20 seeds. A group needs its image as far as its discrepancy says: success
with the image less success without it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from rap_plugin.demo import POOL_PATH
from rap_plugin.hosts.follower import Follower
from rap_plugin.pipeline.selection import load_selection
from rap_plugin.posterior.following import FollowOptions, begin, group_numbers, wording_of

SEEDS, STEPS, PROMPTS, RESPONSES = 20, 60, 16, 5
LAMBDA_A = 0.1


@dataclass(frozen=True)
class Pool:
    """Rates of N samples."""

    groups: list[int]
    image: np.ndarray
    blind: np.ndarray
    biased: np.ndarray


def follow(pool: Pool, options: FollowOptions) -> tuple[float, float, float]:
    """Of the rows that are asked: mean discrepancy, share of informative groups, share of attention-biased responses."""
    random = np.random.default_rng(options.seed)
    # Of its own, so that a budget for attention alone changes no reward.
    of_attention = np.random.default_rng([options.seed, 1])

    def looked(rows: Sequence[int], rate: np.ndarray, random: np.random.Generator) -> dict[int, list[float]]:
        found: dict[int, list[float]] = {}
        for row in rows:
            found.setdefault(row, []).append(float(random.random() < rate[row]))
        return found

    follower, informative, asked = Follower(begin(pool.groups), options, PROMPTS), [], []
    for step in range(STEPS):
        rows = follower.rows_of(step)
        right = {row: (random.random(RESPONSES) < pool.image[row]).astype(float).tolist() for row in rows}
        without = looked(follower.renewals_of(step), pool.blind, random)
        attention = looked(follower.measurements_of(step), pool.biased, of_attention)
        informative.append(follower.tell(right, without, attention)["rap/follow/informative"])
        asked += rows
    needs = float(np.mean(pool.image[asked] - pool.blind[asked]))
    return needs, float(np.mean(informative)), float(np.mean(pool.biased[asked]))


def read_pool(run: Path) -> Pool:
    selection, store = load_selection(run)
    table = selection.table
    records = store.records({"image": table.probes["image"]}, table.sample.tolist(), "psi_window_max_10")
    store.close()
    above: dict[int, list[bool]] = {}
    for record in records:
        if record.log_psi is not None:
            above.setdefault(record.sample, []).append(record.log_psi > math.log(LAMBDA_A))
    biased = np.array([np.mean(above.get(sample, [False])) for sample in table.sample.tolist()])
    image, blind = ((table.arms[arm].right + 0.5) / (table.arms[arm].stored + 1) for arm in ("image", "blind"))
    questions = pq.read_table(POOL_PATH, columns=["problem"]).take(table.rows)["problem"].to_pylist()
    return Pool(group_numbers(list(map(wording_of, questions))), image, blind, biased)


def report(pool: Pool, names: Sequence[str], settings: Sequence[tuple[float, ...]], biased: bool) -> None:
    """A table, a line for each setting of the named options."""
    heads = [*(f"`{name}`" for name in names), "discrepancy of the rows asked (95 %)", "informative groups (95 %)"]
    heads += ["biased responses (95 %)"] * biased
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for setting in settings:
        given = dict(zip(names, setting, strict=True))
        found = [follow(pool, FollowOptions(RESPONSES, seed=seed, **given)) for seed in range(SEEDS)]
        means, halves = np.mean(found, axis=0), 1.96 * np.std(found, axis=0, ddof=1) / SEEDS**0.5
        cells = [f"{value:g}" for value in setting] + [f"{means[0]:.3f} ± {halves[0]:.3f}"]
        cells += [f"{100 * mean:.1f} ± {100 * half:.1f} %" for mean, half in zip(means[1:], halves[1:], strict=True)]
        print(f"| {' | '.join(cells[: len(heads)])} |")


def main(run: Path) -> None:
    pool = read_pool(run)
    blind = [(0.0, 0.5), (0.02, 0.5), (0.05, 0.5), (0.1, 0.5), (0.2, 0.5), (0.05, 1.0), (0.1, 1.0)]
    report(pool, ("renew", "image_weight"), blind, biased=False)
    print()
    report(
        pool, ("renew_attention", "attention_weight"), [(0.05, 0.0), (0.05, 0.5), (0.05, 1.0), (0.2, 1.0)], biased=True
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
