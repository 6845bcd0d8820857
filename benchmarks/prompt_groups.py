"""Which samples should share strength? Groups by wording against groups by the model's own state at the end of the prompt.

python benchmarks/prompt_groups.py demo-run      # a run of `rap demo`

Per grouping: how well the other samples of a group predict a sample's own rollouts (log likelihood of the Beta-binomial, its own
rollouts taken out), and the share of informative groups when following a model that stands still (60 steps of 16 prompts x 5).
"""

from __future__ import annotations

import sys
from math import lgamma
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq

from rap_plugin.demo import MODEL_DIR, POOL_PATH
from rap_plugin.posterior.following import FollowOptions, begin, choose, group_numbers, observe, wording_of
from rap_plugin.scorers.success import STRENGTH, shared_posteriors
from rap_plugin.trl_hooks import prompt_groups

SEEDS, STEPS, PROMPTS, RESPONSES = 20, 60, 16, 5
log_gamma = np.vectorize(lgamma)


def log_likelihood(groups: list[int], right: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(N,) of each sample's rollouts under the posterior of all others."""
    alpha, beta = shared_posteriors(np.asarray(groups), right, asked, STRENGTH)
    a, b, wrong = alpha - right, beta - (asked - right), asked - right

    def log_beta(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return log_gamma(x) + log_gamma(y) - log_gamma(x + y)

    return log_beta(a + right, b + wrong) - log_beta(a, b)


def informative_share(groups: list[int], success: np.ndarray, seed: int) -> float:
    """Of all groups that following asks for, of a model that stands still."""
    random, options, beliefs = np.random.default_rng(seed), FollowOptions(RESPONSES, seed=seed), begin(groups)
    shares = []
    for step in range(STEPS):
        rows = choose(beliefs, options, PROMPTS, step)
        right = random.binomial(RESPONSES, success[rows])
        shares.append(np.mean((right > 0) & (right < RESPONSES)))
        beliefs = observe(beliefs, options, rows.tolist(), right.tolist(), [RESPONSES] * PROMPTS)
    return float(np.mean(shares))


def main(run: Path) -> None:
    scores = pq.read_table(run / "scores.parquet", columns=["rap_row", "rap_right_image", "rap_rollouts_image"])
    rows, right, asked = (np.nan_to_num(column.to_numpy().astype(float)) for column in scores.columns)
    pool = pq.read_table(POOL_PATH).take(rows.astype(int)).to_pylist()
    questions = [row["problem"].replace("<image>", "").strip() for row in pool]
    prompts = [
        {"prompt": [{"role": "user", "content": question}], "image": row["images"][0]}
        for question, row in zip(questions, pool, strict=True)
    ]
    data = datasets.Dataset.from_list(prompts).cast_column("image", datasets.Image())
    groupings = {
        "one group": [0] * len(pool),
        "wording": group_numbers(list(map(wording_of, questions))),
        **{f"the model's state, {k}": prompt_groups(data, MODEL_DIR, groups=k) for k in (8, 32, 96)},
    }
    wording = log_likelihood(groupings["wording"], right, asked)
    success = (right + 0.5) / (asked + 1)
    print("| groups | number | log likelihood a sample | against wording (95 %) | informative groups (95 %) |")
    print("| --- | --- | --- | --- | --- |")
    for name, groups in groupings.items():
        found = log_likelihood(groups, right, asked)
        shares = np.array([informative_share(groups, success, seed) for seed in range(SEEDS)])
        half, spread = (1.96 * x.std(ddof=1) / np.sqrt(len(x)) for x in (found - wording, shares))
        against = "" if name == "wording" else f"{(found - wording).mean():+.3f} ± {half:.3f}"
        share = f"{100 * shares.mean():.1f} ± {100 * spread:.1f} %"
        print(f"| {name} | {len(set(groups))} | {found.mean():.3f} | {against} | {share} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
