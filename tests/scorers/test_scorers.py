"""Scores from counts: exact, order-free, NaN where undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rap_plugin.config import load_config
from rap_plugin.errors import RapError
from rap_plugin.scorers import BUILTIN_SCORERS
from rap_plugin.scorers.alignment import alignment, mean_in_order
from rap_plugin.scorers.attention import log_psi
from rap_plugin.scorers.discrepancy import discrepancy
from tests.tables import make_table, scores_of


def test_discrepancy_is_accuracy_with_the_image_minus_without() -> None:
    table = make_table([5, 3, 0, 2], [0, 3, 5, 1])
    np.testing.assert_allclose(discrepancy(table, load_config()), [1.0, 0.0, -1.0, 0.2])


@given(st.integers(0, 5), st.integers(0, 5))
def test_equal_counts_give_the_same_double_as_one_fraction(image: int, blind: int) -> None:
    assert discrepancy(make_table([image], [blind]), load_config())[0] == (image - blind) * 5 / 25


def test_samples_without_an_image_have_no_scores() -> None:
    from dataclasses import replace

    table = make_table([0, 1], [0, 0], [math.nan, -5.0], images=[0, 1])
    nothing = np.array([0, 5])
    arms = {arm: replace(c, stored=nothing, answered=nothing, graded=nothing) for arm, c in table.arms.items()}
    scores = scores_of(replace(table, arms=arms))
    for name, score in BUILTIN_SCORERS.items():
        assert math.isnan(scores[name][0]), name
        # The third arm is not sampled here.
        assert math.isnan(scores[name][1]) == ("facts" in score.arms), name


def test_another_sigma_shifts_the_window_product_by_its_number_of_factors() -> None:
    table = make_table([1], [0], [-7.0])
    changed = load_config(assignments=["ace.sigma=4", "ace.window=20"])
    assert log_psi(table, changed)[0] == pytest.approx(-7.0 + 20 * math.log(2))


def test_another_sigma_under_suffix_is_refused_since_columns_differ_in_length() -> None:
    with pytest.raises(RapError, match=r"use ace\.reduction=window"):
        log_psi(make_table([1], [0]), load_config(assignments=["ace.sigma=4", "ace.reduction=suffix"]))


def test_alignment_is_one_at_the_mean_and_falls_with_distance() -> None:
    table = make_table([2, 2, 2, 2], [0] * 4)
    np.testing.assert_allclose(alignment(table, load_config()), 1.0)
    mixed = alignment(make_table([5, 0, 0, 0, 0], [0] * 5), load_config())
    assert mixed[0] == pytest.approx(0.0)
    assert mixed[1] == pytest.approx(1 - 0.2**2 / 0.8**2)


def test_a_pool_that_is_always_solved_is_aligned_with_itself() -> None:
    np.testing.assert_array_equal(alignment(make_table([5, 5], [0, 0]), load_config()), [1.0, 1.0])


def test_the_mean_adds_one_after_the_other() -> None:
    values = np.array([0.1] * 10)
    total = 0.0
    for value in values:
        total += value
    assert mean_in_order(values) == total / 10
    assert mean_in_order(np.array([])) == 0.0
