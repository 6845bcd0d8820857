"""How often is a sample right, in each arm? Beta posteriors from its counts, under a prior that the pool itself gives.

The prior is a mixture of products of Betas, one Beta an arm: a sample that is right without its image is nearly always
right with it, so that a rollout of one arm says something of the other. Its weights are fitted to the counts of the whole
pool (empirical Bayes, by EM), so strength is shared between samples. All functions depend on counts alone: not on the
order of samples, and not on the order of a sample's rollouts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from math import comb

import numpy as np
from numpy.typing import NDArray

from rap_plugin.evidence.table import Counts, Numbers

MEANS = (0.02, 0.15, 0.32, 0.5, 0.68, 0.85, 0.98)
"""Means of the Betas that a prior is mixed of."""

STRENGTH = 8.0
"""alpha + beta of each: as much as so many rollouts say. Narrow ones, so that a mixture can take any form."""

EM_STEPS = 200
SMOOTHING = 1.0
"""Samples, spread evenly over the components, that are added to the pool: no component dies out for lack of rollouts."""

CELLS, FURTHEST = 2_000, 60.0
"""Of the grid of log-odds on which quantiles of a mixture are found, and its last point."""


@dataclass(frozen=True)
class Posterior:
    """The posterior of N samples over their success in A arms: per sample a mixture of C products of Betas."""

    right: Counts
    """(N, A) right rollouts."""
    graded: Counts
    """(N, A) graded ones."""
    weights: Numbers
    """(C,) of the prior, C = len(MEANS) ** A."""
    shares: Numbers = field(repr=False)
    """(U, C) posterior weights of each different state of counts."""
    state: NDArray[np.int64] = field(repr=False)
    """(N,) which state a sample is in."""

    def mean(self, arm: int) -> Numbers:
        """(N,) posterior mean of the success in an arm."""
        alpha, beta = parameters(self.right.shape[1])
        a, b = self._counts(arm)
        each = (alpha[:, arm] + a[:, None]) / (alpha[:, arm] + beta[:, arm] + (a + b)[:, None])
        found: Numbers = (self.shares * each).sum(axis=1)[self.state]
        return found

    def interval(self, arm: int, level: float = 0.9) -> tuple[Numbers, Numbers]:
        """(N,) lower and upper quantile of the success in an arm that leave (1 - level) / 2 on either side.

        By quadrature over the log-odds, where no density of a Beta has a pole.
        """
        odds = np.linspace(-FURTHEST, FURTHEST, CELLS)
        log_p, log_q = -np.logaddexp(0, -odds), -np.logaddexp(0, odds)
        low, high = np.empty((2, len(self.shares)))
        right, wrong = self._counts(arm)
        # Components that have the same Beta in this arm are one.
        member = np.array([[pair[arm] == k for k in range(len(MEANS))] for pair in _pairs(self.right.shape[1])], float)
        merged = self.shares @ member
        means = np.array(MEANS)
        for u in range(len(self.shares)):
            a, b = STRENGTH * means + right[u], STRENGTH * (1 - means) + wrong[u]
            log = a[:, None] * log_p + b[:, None] * log_q
            density = np.exp(log - log.max(axis=1, keepdims=True))
            mass = merged[u] @ (density / density.sum(axis=1, keepdims=True))
            # Half of a cell's mass lies below its middle.
            cumulated = np.cumsum(mass) - mass / 2
            found = np.interp([(1 - level) / 2, (1 + level) / 2], cumulated / mass.sum(), odds)
            low[u], high[u] = 1 / (1 + np.exp(-found))
        return low[self.state], high[self.state]

    def predict(self, further: int) -> Numbers:
        """(U, (further + 1),) * A: for each state the probability of so many right among `further` rollouts of each arm."""
        arms = self.right.shape[1]
        alpha, beta = parameters(arms)
        ways = np.array([float(comb(further, k)) for k in range(further + 1)])
        found = self.shares
        tables = []
        for arm in range(arms):
            right, wrong = self._counts(arm)
            a, b = alpha[:, arm] + right[:, None], beta[:, arm] + wrong[:, None]
            k = np.arange(further + 1)
            log = _log_rising(a, k) + _log_rising(b, further - k) - _log_rising(a + b, np.full(further + 1, further))
            tables.append(ways * np.exp(log))
        letters = "abcdefgh"[:arms]
        terms = ",".join(f"uc{letter}" for letter in letters)
        answer: Numbers = np.einsum(f"uc,{terms}->u{letters}", found, *tables)
        return answer

    def draw(self, random: np.random.Generator, order: NDArray[np.int64]) -> Numbers:
        """(N, A) one success per sample and arm from the posterior; samples take their random numbers in this `order`."""
        n, arms = self.right.shape
        alpha, beta = parameters(arms)
        steps = np.cumsum(self.shares, axis=1)[self.state[order]]
        component = (random.random((n, 1)) * steps[:, -1:] > steps[:, :-1]).sum(axis=1)
        right, graded = self.right[order], self.graded[order]
        found = np.empty((n, arms))
        found[order] = random.beta(alpha[component] + right, beta[component] + graded - right)
        return found

    def _counts(self, arm: int) -> tuple[Counts, Counts]:
        """(U,) right and wrong rollouts of each state."""
        first = np.zeros(len(self.shares), dtype=np.int64)
        first[self.state[::-1]] = np.arange(len(self.state))[::-1]
        right = self.right[first, arm]
        return right, self.graded[first, arm] - right


def fit(right: Counts, graded: Counts) -> Posterior:
    """The posterior of a pool from (N, A) counts, its prior fitted to them."""
    counts = np.concatenate((right, graded), axis=1)
    states, state, times = np.unique(counts, axis=0, return_inverse=True, return_counts=True)
    state = state.reshape(-1)
    arms = right.shape[1]
    likelihood = _likelihood(states[:, :arms], states[:, arms:])
    components = likelihood.shape[1]
    weights = np.full(components, 1 / components)
    total = times.sum() + SMOOTHING
    for _ in range(EM_STEPS):
        shares = likelihood * weights
        shares /= shares.sum(axis=1, keepdims=True)
        weights = (times @ shares + SMOOTHING / components) / total
    shares = likelihood * weights
    return Posterior(right, graded, weights, shares / shares.sum(axis=1, keepdims=True), state)


def parameters(arms: int) -> tuple[Numbers, Numbers]:
    """alpha and beta of every component in every arm, (C, A) each."""
    means = np.array([[MEANS[k] for k in pair] for pair in _pairs(arms)])
    return STRENGTH * means, STRENGTH * (1 - means)


def _pairs(arms: int) -> list[tuple[int, ...]]:
    return list(product(range(len(MEANS)), repeat=arms))


def _likelihood(right: Counts, graded: Counts) -> Numbers:
    """(U, C) probability of a sequence of so many right rollouts under each component, up to a factor per state."""
    alpha, beta = parameters(right.shape[1])
    log = np.zeros((len(right), len(alpha)))
    for arm in range(right.shape[1]):
        a, b, r, g = alpha[:, arm], beta[:, arm], right[:, arm], graded[:, arm]
        log += (_log_rising(a[None], r[:, None]) + _log_rising(b[None], (g - r)[:, None])) - _log_rising(
            (a + b)[None], g[:, None]
        )
    found: Numbers = np.exp(log - log.max(axis=1, keepdims=True))
    return found


def _log_rising(start: Numbers, times: Counts) -> Numbers:
    """log of start (start + 1) .. (start + times - 1). `start` (U, C) or (1, C); `times` (U, 1), or (K,) for (U, C, K)."""
    if times.ndim == 1:
        start = start[..., None]
    most = int(times.max(initial=0))
    steps = np.log(start[..., None] + np.arange(most))
    sums = np.concatenate((np.zeros((*steps.shape[:-1], 1)), np.cumsum(steps, axis=-1)), axis=-1)
    wide = np.broadcast_to(sums, (*np.broadcast_shapes(sums.shape[:-1], times.shape), most + 1))
    picked = np.broadcast_to(times, wide.shape[:-1])[..., None]
    found: Numbers = np.take_along_axis(wide, picked, axis=-1)[..., 0]
    return found
