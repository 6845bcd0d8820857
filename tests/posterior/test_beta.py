"""Beta posteriors against exact enumeration and quadrature."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
from scipy.special import betainc, betaln, roots_jacobi

from rap_plugin.posterior.beta import MEANS, STRENGTH, Posterior, fit

COUNTS = [
    (0, 0, 0, 0),
    (3, 5, 0, 0),
    (1, 2, 1, 3),
    (5, 5, 0, 5),
    (0, 4, 2, 2),
    (1, 1, 1, 1),
    (2, 2, 0, 1),
    (0, 1, 0, 0),
]
"""Right and graded with the image, right and graded without."""


def pool(times: int = 3) -> Posterior:
    counts = np.array(COUNTS * times)
    return fit(counts[:, [0, 2]], counts[:, [1, 3]])


def by_quadrature(posterior: Posterior, i: int, image: int, blind: int, further: int) -> float:
    """P(`image` and `blind` right of `further` each | counts), by integrating over both success rates, part by part."""
    right, graded = posterior.right[i], posterior.graded[i]

    def moment(arm: int, mean: float, r: int, w: int) -> float:
        x, weight = roots_jacobi(20, STRENGTH * (1 - mean) - 1, STRENGTH * mean - 1)
        p = (x + 1) / 2
        return float((weight * p**r * (1 - p) ** w).sum() / weight.sum())

    above = below = 0.0
    for weight, (k, m) in zip(posterior.weights, product(MEANS, MEANS), strict=True):
        seen = [(int(right[a]), int(graded[a] - right[a])) for a in (0, 1)]
        more = [(image, further - image), (blind, further - blind)]
        below += weight * moment(0, k, *seen[0]) * moment(1, m, *seen[1])
        above += weight * np.prod(
            [moment(a, (k, m)[a], seen[a][0] + more[a][0], seen[a][1] + more[a][1]) for a in (0, 1)]
        )
    return float(comb(further, image) * comb(further, blind) * above / below)


@pytest.mark.parametrize("i", [1, 2])
def test_the_probability_of_further_rollouts_is_the_integral_over_success(i: int) -> None:
    posterior = pool()
    found = posterior.predict(2)[posterior.state[i]]
    assert found.sum() == pytest.approx(1)
    for image, blind in [(0, 0), (2, 0), (1, 2)]:
        assert found[image, blind] == pytest.approx(by_quadrature(posterior, i, image, blind, 2), rel=1e-6)


def test_a_verdict_has_the_probability_that_enumerating_all_sequences_gives() -> None:
    """P(D > 1/2 at the end) from the closed form, against every sequence of rollouts, each as likely as its steps."""
    posterior = pool()
    i, m = 2, 3
    predicted = posterior.predict(m)[posterior.state[i]]
    k = np.arange(m + 1)
    closed = predicted[(k[:, None] - k[None, :]) / m > 0.5].sum()

    def chance(image: tuple[int, ...], blind: tuple[int, ...]) -> float:
        """One rollout after the other: each by the posterior mean of what was seen before it."""
        seen, likely = posterior, 1.0
        right, graded = posterior.right[i].copy(), posterior.graded[i].copy()
        for arm, outcomes in enumerate((image, blind)):
            for outcome in outcomes:
                seen = Posterior(
                    right[None], graded[None], posterior.weights, shares_of(posterior, right, graded), np.array([0])
                )
                mean = seen.mean(arm)[0]
                likely *= mean if outcome else 1 - mean
                right[arm] += outcome
                graded[arm] += 1
        return float(likely)

    sequences = list(product((0, 1), repeat=m))
    enumerated = sum(
        chance(image, blind) for image in sequences for blind in sequences if (sum(image) - sum(blind)) / m > 0.5
    )
    assert closed == pytest.approx(enumerated, rel=1e-9)


def shares_of(posterior: Posterior, right: np.ndarray, graded: np.ndarray) -> np.ndarray:
    """Posterior weights of the components after these counts, from scipy's Beta functions."""
    log = np.log(posterior.weights)
    for c, (k, m) in enumerate(product(MEANS, MEANS)):
        for arm, mean in enumerate((k, m)):
            a, b = STRENGTH * mean, STRENGTH * (1 - mean)
            log[c] += betaln(a + right[arm], b + graded[arm] - right[arm]) - betaln(a, b)
    shares = np.exp(log - log.max())
    return (shares / shares.sum())[None]


def test_draws_have_the_mean_and_the_interval_of_the_posterior() -> None:
    posterior = pool(1)
    random = np.random.default_rng(0)
    order = np.arange(len(COUNTS))
    drawn = np.stack([posterior.draw(random, order) for _ in range(20_000)])
    for arm in (0, 1):
        low, high = posterior.interval(arm, 0.8)
        np.testing.assert_allclose(drawn[:, :, arm].mean(axis=0), posterior.mean(arm), atol=0.01)
        np.testing.assert_allclose(np.quantile(drawn[:, :, arm], 0.1, axis=0), low, atol=0.015)
        np.testing.assert_allclose(np.quantile(drawn[:, :, arm], 0.9, axis=0), high, atol=0.015)


@pytest.mark.parametrize(("right", "graded"), [(0, 0), (3, 5), (5, 5), (40, 64)])
def test_the_interval_is_that_of_the_mixture(right: int, graded: int) -> None:
    posterior = fit(np.array([[right]]), np.array([[graded]]))
    parts = [(STRENGTH * mean + right, STRENGTH * (1 - mean) + graded - right) for mean in MEANS]
    for quantile, share in zip(posterior.interval(0, 0.9), (0.05, 0.95), strict=True):
        below = sum(
            weight * betainc(*part, quantile[0]) for weight, part in zip(posterior.shares[0], parts, strict=True)
        )
        assert below == pytest.approx(share, abs=0.004)


def test_a_posterior_depends_on_no_order_of_samples() -> None:
    counts = np.array(COUNTS)
    shuffled = np.random.default_rng(3).permutation(len(counts))
    one, other = (fit(c[:, [0, 2]], c[:, [1, 3]]) for c in (counts, counts[shuffled]))
    np.testing.assert_array_equal(one.weights, other.weights)
    np.testing.assert_array_equal(one.mean(0)[shuffled], other.mean(0))


def test_a_right_answer_without_the_image_says_that_the_next_one_with_it_will_be_right() -> None:
    """The arms share strength where the pool does: half of it is given away by its text, the rest needs the image."""
    given = np.tile([5, 5, 5, 5], (50, 1))
    needed = np.tile([1, 5, 0, 5], (50, 1))
    asked = np.array([[0, 0, 1, 1], [0, 0, 0, 1]])
    counts = np.concatenate((given, needed, asked))
    image = fit(counts[:, [0, 2]], counts[:, [1, 3]]).mean(0)
    assert image[-2] > 0.8
    assert image[-1] < 0.4
