"""Intervals and tests for accuracies, as plain functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

DRAWS = 2000
SEED = 20_250_604


def wilson(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a share (E. B. Wilson, 1927), 95 % by default. `total` must be positive."""
    share = right / total
    centre = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def bootstrap_mean(values: Sequence[float], draws: int = DRAWS) -> tuple[float, float]:
    """95 % percentile interval of a mean over independent units. Cost: draws x len(values) numbers, in slices."""
    held = np.asarray(values, float)
    return _percentiles(_means(held, draws))


def bootstrap(units: int, measure: Callable[[np.ndarray], float | None], draws: int = 300) -> tuple[float, float]:
    """95 % percentile interval of any measure of resampled units; `measure` is given their positions."""
    random = np.random.default_rng(SEED)
    found = [measure(random.integers(0, units, units)) for _ in range(draws)]
    known = np.asarray([value for value in found if value is not None], float)
    return _percentiles(known) if len(known) else (math.nan, math.nan)


def _means(values: np.ndarray, draws: int) -> np.ndarray:
    random = np.random.default_rng(SEED)
    rows = max(1, 2_000_000 // max(1, len(values)))
    parts = [
        values[random.integers(0, len(values), (min(rows, draws - start), len(values)))].mean(axis=1)
        for start in range(0, draws, rows)
    ]
    return np.concatenate(parts)


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p of McNemar's test (1947): of the problems that one model alone has right, each model would
    have half if they were equally good. 1.0 when there are none."""
    total = only_first + only_second
    if not total:
        return 1.0
    # In logarithms: the binomial coefficients of MME-RealWorld's 23,609 problems exceed any float.
    half = total * math.log(2)
    tail = sum(
        math.exp(math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) - half)
        for k in range(min(only_first, only_second) + 1)
    )
    return min(1.0, 2 * tail)
