"""How many samples a selection from part of the rollouts takes, against all subsets of small pools."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from rap_plugin.posterior.decision import best_size


def expected_overlap(taken: np.ndarray, probability: np.ndarray) -> float:
    """The exact mean Jaccard index of `taken` and a selection with these probabilities, over all selections."""
    total = 0.0
    for selected in product((False, True), repeat=len(probability)):
        there = np.array(selected)
        either = int((taken | there).sum())
        overlap = int((taken & there).sum()) / either if either else 1.0
        total += overlap * float(np.where(there, probability, 1 - probability).prod())
    return total


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("certainty", [0.3, 1.0, 4.0])
def test_no_subset_of_a_small_pool_overlaps_much_better_than_the_one_that_is_taken(seed: int, certainty: float) -> None:
    odds = certainty * np.random.default_rng(seed).normal(size=7)
    probability = 1 / (1 + np.exp(-odds))
    order = np.argsort(-probability)
    taken = np.zeros(7, dtype=bool)
    taken[order[: best_size(probability)]] = True
    best = max(expected_overlap(np.array(some), probability) for some in product((False, True), repeat=7))
    assert expected_overlap(taken, probability) > best - 0.03


def test_what_is_sure_is_taken_and_nothing_else() -> None:
    assert best_size(np.array([0.0, 1.0, 1.0, 0.0, 1.0])) == 3


def test_a_sample_that_is_more_probable_than_not_is_never_left_out() -> None:
    for seed in range(50):
        probability = np.random.default_rng(seed).beta(0.3, 0.6, 200)
        assert best_size(probability) >= (probability > 0.5).sum()


def test_where_nothing_can_be_selected_nothing_is() -> None:
    assert best_size(np.zeros(4)) == 0
    assert best_size(np.zeros(0)) == 0
