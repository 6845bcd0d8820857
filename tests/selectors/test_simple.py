"""The baselines: random, band, limr, top."""

from __future__ import annotations

import pytest

from rap_plugin.config import load_config
from rap_plugin.errors import RapError
from rap_plugin.selectors.simple import select_band, select_limr, select_random, select_top
from tests.tables import make_table, scores_of


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


def test_a_band_upside_down_is_refused() -> None:
    table = make_table([1], [0])
    with pytest.raises(RapError, match="give the lower end first"):
        select_band(table, scores_of(table), load_config(assignments=["selection.band=[0.8, 0.2]"]))


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


def test_samples_without_an_image_are_never_taken() -> None:
    table = make_table([3, 3], [0, 0], images=[0, 1])
    for selector in (select_random, select_band, select_limr, select_top):
        assert select_random(table, scores_of(table), load_config(flags={"selection.keep": 1.0})).chosen.tolist() == [
            False,
            True,
        ]
        assert selector(table, scores_of(table), load_config()).verdicts[0] == "text_only"
