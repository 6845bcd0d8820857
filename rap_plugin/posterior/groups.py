"""Which samples are alike, from numbers that describe them: k-means, with a seed."""

from __future__ import annotations

import numpy as np

from rap_plugin.evidence.table import Counts, Numbers

STARTS, STEPS = 5, 50


def cluster(points: Numbers, groups: int, seed: int = 0) -> Counts:
    """(N,) the group of each of (N, D) points: k-means (the best of some k-means++ starts) on columns of equal spread.

    Depends on the points, their order and the seed alone. Where there are fewer different points, so are the groups. O(N D groups) a step.
    """
    spread = points.std(axis=0)
    at = (points - points.mean(axis=0)) / np.where(spread > 0, spread, 1)
    starts = [_start(at, groups, np.random.Generator(np.random.Philox(key=[seed, start]))) for start in range(STARTS)]
    found = [_lloyd(at, centres) for centres in starts]
    best: Counts = min(found, key=lambda one: one[1])[0]
    return best


def _start(points: Numbers, groups: int, random: np.random.Generator) -> Numbers:
    """(K, D) points far from each other."""
    centres = points[random.integers(len(points))][None]
    while len(centres) < groups:
        nearest = _distances(points, centres).min(axis=1)
        if not nearest.any():
            break
        further = random.choice(len(points), p=nearest / nearest.sum())
        centres = np.concatenate((centres, points[further][None]))
    return centres


def _lloyd(points: Numbers, centres: Numbers) -> tuple[Counts, float]:
    """(N,) the nearest centre of each point, once they stand still, and the sum of squared distances."""
    distances = _distances(points, centres)
    for _ in range(STEPS):
        members = distances.argmin(axis=1)
        # A centre that lost its points stays where it is.
        means = [points[mine].mean(axis=0) if (mine := members == k).any() else old for k, old in enumerate(centres)]
        distances = _distances(points, np.array(means))
        centres = np.array(means)
        if (distances.argmin(axis=1) == members).all():
            break
    return distances.argmin(axis=1), float(distances.min(axis=1).sum())


def _distances(points: Numbers, centres: Numbers) -> Numbers:
    """(N, K) squared distances."""
    found = (points**2).sum(axis=1)[:, None] - 2 * points @ centres.T + (centres**2).sum(axis=1)
    # A point at a centre is at no distance, whatever the rounding says.
    return np.where(found > 1e-9, found, 0.0)
