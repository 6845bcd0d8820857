"""LIMR's alignment, from one round of evidence."""

from __future__ import annotations

import numpy as np

from rap_plugin.config import RunConfig
from rap_plugin.evidence.table import EvidenceTable, Numbers
from rap_plugin.scorers.base import scorer


def exact_share(table: EvidenceTable, arm: str) -> Numbers:
    """Share of the M rollouts of an arm whose reward is exactly 1, shape (N,); 0 for text-only samples."""
    return table.arms[arm].exact / table.rollouts  # type: ignore[index]


def mean_in_order(values: Numbers) -> float:
    """The mean with the additions done one after the other, in dataset order.

    Python's `sum` and numpy's differ in the last bits, and comparisons with a mean must not.
    """
    return float(np.cumsum(values)[-1] / len(values)) if len(values) else 0.0


@scorer("alignment", arms=("image",))
def alignment(table: EvidenceTable, config: RunConfig) -> Numbers:
    """s = 1 - (a - b)^2 / (1 - b)^2, shape (N,), at most 1: how near a sample is to the pool's mean reward.

    LIMR (arXiv 2502.11886) computes it over the epochs of a training run; the released RAP code over one
    round of rollouts: a = share of rewards exactly 1, b = mean of a over the pool. 1 where b = 1.
    """
    share = exact_share(table, "image")
    pictured = table.images > 0
    mean = mean_in_order(share[pictured])
    if mean == 1.0:
        return np.where(pictured, 1.0, np.nan)
    scores = 1 - (share - mean) ** 2 / (1 - mean) ** 2
    return np.where(pictured, scores, np.nan)
