"""The baselines: random, band, limr, top."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rap_plugin.config import load_config
from rap_plugin.errors import RapError
from rap_plugin.scorers.success import STRENGTH, shared_posteriors, worth_of
from rap_plugin.selectors.base import Selector
from rap_plugin.selectors.simple import select_band, select_follow, select_limr, select_random, select_top
from tests.tables import graded, make_table, scores_of


def test_random_takes_the_budget_by_id_and_seed_whatever_the_order() -> None:
    ids = [f"{i * 7919:032x}" for i in range(100)]
    forward = make_table([3] * 100, [0] * 100, ids=ids)
    backward = make_table([3] * 100, [0] * 100, ids=ids[::-1])
    config = load_config(flags={"selection.keep": 0.2})
    one = set(forward.ids[select_random(forward, scores_of(forward), config).chosen])
    two = set(backward.ids[select_random(backward, scores_of(backward), config).chosen])
    assert len(one) == 20
    assert one == two
    other = select_random(forward, scores_of(forward), load_config(flags={"selection.keep": 0.2, "selection.seed": 1}))
    assert set(forward.ids[other.chosen]) != one


def test_band_keeps_what_is_neither_always_nor_never_solved() -> None:
    table = make_table([0, 1, 2, 3, 4, 5], [0] * 6)
    decision = select_band(table, scores_of(table), load_config())
    assert decision.chosen.tolist() == [False, True, True, True, True, False]


def test_band_with_a_budget_takes_the_middle_first() -> None:
    table = make_table([0, 1, 2, 4, 5, 1, 1, 1, 1, 1], [0] * 10)
    decision = select_band(table, scores_of(table), load_config(flags={"selection.keep": 0.1}))
    assert decision.chosen.nonzero()[0].tolist() == [2]


def test_limr_keeps_what_is_near_the_mean_reward() -> None:
    table = make_table([5, 5, 5, 3, 0], [0] * 5)
    decision = select_limr(table, scores_of(table), load_config())
    assert decision.chosen.tolist() == [False, False, False, True, False]


def test_top_ranks_by_any_score_and_names_the_known_ones() -> None:
    table = make_table([5, 4, 3, 2], [5, 0, 0, 0])
    config = load_config(flags={"selection.keep": 0.25, "selection.score": "discrepancy"})
    assert select_top(table, scores_of(table), config).chosen.tolist() == [False, True, False, False]
    with pytest.raises(RapError, match=r"unknown score 'shine'; known: acc_image"):
        select_top(table, scores_of(table), load_config(flags={"selection.score": "shine"}))


def test_follow_draws_what_teaches_and_needs_its_image_by_seed_and_evidence_whatever_the_order() -> None:
    right, blind = [0, 5, 3, 3] * 25, [0, 5, 0, 5] * 25
    ids = [f"{i * 7919:032x}" for i in range(100)]
    table = make_table(right, blind, ids=ids)
    config = load_config(flags={"selection.keep": 0.25})
    decision = select_follow(table, scores_of(table), config)
    taken = decision.chosen.reshape(25, 4).sum(axis=0)
    assert decision.chosen.sum() == 25
    assert taken[2] > 2 * max(taken[[0, 1, 3]])
    backward = make_table(right[::-1], blind[::-1], ids=ids[::-1])
    again = select_follow(backward, scores_of(backward), config)
    assert set(table.ids[decision.chosen]) == set(backward.ids[again.chosen])
    other = select_follow(table, scores_of(table), load_config(flags={"selection.keep": 0.25, "selection.seed": 1}))
    assert other.chosen.tolist() != decision.chosen.tolist()
    assert "--rap.follow in OpenRLHF" in decision.notes[-1]


@pytest.mark.parametrize(("right", "right_blind"), [((4, 1), (2, 0)), ((3, 2), (1, 2))])
def test_follow_takes_each_sample_as_often_as_its_posterior_says(
    right: tuple[int, int], right_blind: tuple[int, int]
) -> None:
    """Two samples, one place: by enumeration over both posteriors of the image arm; the blind arm counts by its mean.

    In the second pool the first sample would be taken in 68 % of the draws instead of 80 % if the blind arm were drawn too.
    """
    table = make_table(list(right), list(right_blind), rollouts=5)
    alpha, beta = shared_posteriors(np.zeros(2, np.int64), np.array(right, float), np.array([5.0, 5.0]), STRENGTH)
    blind = shared_posteriors(np.zeros(2, np.int64), np.array(right_blind, float), np.array([5.0, 5.0]), STRENGTH)
    cells = (np.arange(10_000) + 0.5) / 10_000
    # The worth of each in 10,000 equally probable cells; then how often one is above the other.
    worth = [
        np.sort(worth_of(stats.beta(alpha[i], beta[i]).ppf(cells), blind[0][i] / (blind[0][i] + blind[1][i]), 5, 0.5))
        for i in (0, 1)
    ]
    exact = np.searchsorted(worth[1], worth[0]).mean() / worth[1].size
    scores, taken = scores_of(table), []
    for seed in range(1_500):
        config = load_config(flags={"selection.keep": 0.5, "selection.seed": seed})
        taken.append(select_follow(table, scores, config).chosen[0])
    assert np.mean(taken) == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 1_500) + 0.005)


def test_samples_without_an_image_are_never_taken() -> None:
    table = make_table([3, 3], [0, 0], images=[0, 1])
    for selector in (select_random, select_band, select_follow, select_limr, select_top):
        assert select_random(table, scores_of(table), load_config(flags={"selection.keep": 1.0})).chosen.tolist() == [
            False,
            True,
        ]
        assert selector(table, scores_of(table), load_config()).verdicts[0] == "text_only"


SELECTORS = {
    "follow": select_follow,
    "random": select_random,
    "band": select_band,
    "limr": select_limr,
    "top": select_top,
}


@pytest.mark.parametrize("name", SELECTORS)
@given(
    counts=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40),
    budgets=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
)
@settings(max_examples=60, deadline=None)
def test_a_smaller_budget_takes_a_part_of_what_a_larger_one_takes(
    name: str, counts: list[tuple[int, int]], budgets: tuple[float, float]
) -> None:
    table = make_table(*(list(column) for column in zip(*counts, strict=True)))
    small, large = (
        set(table.ids[SELECTORS[name](table, scores_of(table), load_config(flags={"selection.keep": keep})).chosen])
        for keep in sorted(budgets)
    )
    assert small <= large


def test_a_sample_is_judged_on_enough_rollouts_of_the_arms_that_its_selector_reads() -> None:
    table = graded(make_table([2, 2, 2], [0, 0, 0]), image=[2, 5, 5], blind=[5, 2, 5])

    def found(selector: Selector, **flags: Any) -> list[str]:
        config = load_config(flags={f"selection.{name}": value for name, value in {"keep": 1.0, **flags}.items()})
        return selector(table, scores_of(table), config).verdicts.tolist()

    assert found(select_random) == ["selected"] * 3
    assert found(select_band, keep=None)[0] == "too_few_graded"
    assert found(select_band, keep=None)[1:] == ["selected", "selected"]
    assert found(select_top) == ["too_few_graded", "too_few_graded", "selected"]
    assert found(select_top, score="acc_image") == ["too_few_graded", "selected", "selected"]
    assert found(select_band, keep=None, min_graded=1, band=(0.4, 1.0)) == ["selected"] * 3
