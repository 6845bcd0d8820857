"""A selection is brought to a number of rows that fits: filled up with the next best, or cut; never silently."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from rap_plugin.config import RunConfig, load_config
from rap_plugin.errors import RapError
from rap_plugin.evidence.table import EvidenceTable
from rap_plugin.selectors.base import Decision
from rap_plugin.selectors.rap import select_rap
from rap_plugin.selectors.row_count import RowCounts, bring_to_size
from rap_plugin.selectors.simple import select_random
from rap_plugin.selectors.stopping import curtails_by_default, find_stopping_rule
from tests.tables import make_table, scores_of


def configured(**options: Any) -> RunConfig:
    return load_config(flags={f"selection.{name}": value for name, value in options.items()})


def decided(table: EvidenceTable, config: RunConfig, selector: Any = select_rap) -> Decision:
    scores = scores_of(table)
    decision: Decision = selector(table, scores, config)
    bring_to_size(decision, table, scores, config.selection)
    return decision


def of(decision: Decision, verdict: str) -> list[int]:
    return np.flatnonzero(decision.verdicts == verdict).tolist()


def test_numbers_that_fit_are_multiples_from_a_minimum_on() -> None:
    counts = RowCounts(32, 40)
    assert [rows for rows in range(140) if counts.fits(rows)] == [64, 96, 128]
    assert (counts.above(1), counts.above(64), counts.above(65)) == (64, 64, 96)
    assert (counts.below(63), counts.below(64), counts.below(100)) == (0, 64, 96)
    assert counts.examples() == "64, 96, 128"
    assert str(counts) == "a multiple of 32 and at least 40"


def test_the_next_best_fill_up_informative_ones_first_and_say_why() -> None:
    #                  chosen  chosen  next  later  always  never  biased
    table = make_table([4, 4, 4, 2, 5, 0, 4], [0, 0, 2, 1, 5, 0, 0], log_psi=[-20.0] * 6 + [0.0])
    decision = decided(table, configured(drm=False, size_multiple=4))
    assert of(decision, "selected") == [0, 1]
    assert of(decision, "filled_up") == [2, 3]
    assert decision.chosen.tolist() == [True] * 4 + [False] * 3
    assert decision.reasons[2] == (
        "fills 2 rows up to 4, a multiple of 4; otherwise language_prior: right 80% with the image, 40% without: "
        "discrepancy 0.40 <= 0.5; hard, but not among the hardest"
    )
    assert decision.notes[-1] == (
        "the 2 selected samples are filled up to 4, a multiple of 4, with the next best: otherwise 2 language_prior"
    )
    more = decided(table, configured(drm=False, size_minimum=7))
    assert of(more, "filled_up") == [2, 3, 4, 5, 6]


def test_cutting_leaves_the_last_out() -> None:
    table = make_table([4, 4, 4], [0, 1, 0])
    decision = decided(table, configured(drm=False, size_multiple=2, size_by="cut"))
    assert of(decision, "not_chosen") == [1]
    assert decision.reasons[1] == "cut from 3 rows to 2, a multiple of 2; otherwise selected"
    assert "cut to 2, a multiple of 2: the last 1" in decision.notes[-1]


def test_random_fills_up_with_its_own_next_draws() -> None:
    table = make_table([3] * 40, [3] * 40)
    filled = decided(table, configured(selector="random", keep=0.25, size_multiple=16), select_random)
    longer = select_random(table, scores_of(table), configured(keep=0.4))
    assert filled.chosen.tolist() == longer.chosen.tolist()


def test_any_selection_gets_a_size_that_fits_and_keeps_what_was_selected() -> None:
    draws = random.Random(3)
    for _ in range(200):
        rows = draws.randint(8, 60)
        table = make_table([draws.randint(0, 5) for _ in range(rows)], [draws.randint(0, 5) for _ in range(rows)])
        options = {"size_multiple": draws.choice([1, 2, 4, 8]), "size_minimum": draws.randint(0, 8)}
        plain = select_rap(table, scores_of(table), configured())
        filled = decided(table, configured(**options))
        if not plain.chosen.any():
            assert not filled.chosen.any()
            continue
        assert RowCounts(*options.values()).fits(int(filled.chosen.sum()))
        if filled.chosen.sum() >= plain.chosen.sum():
            assert (filled.chosen | ~plain.chosen).all()


def test_repeating_is_left_to_the_host() -> None:
    table = make_table([4, 4, 2], [0, 0, 1])
    assert of(decided(table, configured(drm=False, size_multiple=8, size_by="repeat")), "selected") == [0, 1]


@pytest.mark.parametrize(("by", "says"), [("fill", "3 samples can be trained on"), ("cut", "2 samples are selected")])
def test_a_pool_without_a_number_that_fits_is_one_line_with_three_that_do(by: str, says: str) -> None:
    table = make_table([4, 4, 2], [0, 0, 1])
    with pytest.raises(
        RapError, match=f"{says}, and the training needs a multiple of 8 rows, as in 8, 16, 24"
    ) as raised:
        decided(table, configured(drm=False, size_multiple=8, size_by=by))
    assert "set selection.size_by to repeat" in str(raised.value)


def test_a_selection_that_is_filled_up_needs_every_rollout() -> None:
    plain = configured(selector="band")
    assert curtails_by_default(plain)
    filled = configured(selector="band", size_multiple=8)
    assert not curtails_by_default(filled)
    assert find_stopping_rule(filled) is None
    assert curtails_by_default(configured(selector="band", size_multiple=8, size_by="repeat"))
