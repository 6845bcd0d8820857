"""When a selection has paid for itself: the point at which both ways have cost the same."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from rap_plugin.posterior.pilot import Payback, pay_back
from rap_plugin.run_dir import tables
from tests.fabricate import fabricate

PAYBACK = Payback(spent=60_000.0, rows=500, informative={5: (0.25, 0.75), 8: (0.6, 0.6)})


@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("learning", [0.0, 2.0])
def test_at_the_break_even_both_ways_have_cost_the_same(filtered: bool, learning: float) -> None:
    steps = PAYBACK.steps(5, 16, learning, filtered=filtered)
    groups = steps * 16
    informative = groups * 0.25
    learned = informative if filtered else groups
    whole = 5 * groups + learning * 5 * learned
    needed = informative / 0.75
    selected = 60_000 + 5 * needed + learning * 5 * (informative if filtered else needed)
    assert whole == pytest.approx(selected)


def test_a_selection_that_is_informative_no_more_often_never_pays() -> None:
    assert math.isinf(PAYBACK.steps(8, 16, 2.0))


def test_epochs_are_passes_over_the_selection_for_as_many_informative_groups() -> None:
    assert PAYBACK.epochs(100, 5, 16) == pytest.approx(100 * 16 * 0.25 / 0.75 / 500)


def test_a_run_tells_its_cost_in_responses_and_how_often_groups_are_informative(tmp_path: Path) -> None:
    made = fabricate(tmp_path, 120, broken=0)
    with closing(made.store):
        cost = tables.cost_of(made.store)
        found = pay_back(made.selection, cost)
    assert found is not None
    stage = cost["stages"]["sample image"]
    assert found.spent == pytest.approx(cost["total"]["seconds"] / (stage["seconds"] / stage["rollouts"]))
    assert found.rows == made.selection.decision.chosen.sum()
    for pool, selected in found.informative.values():
        assert 0 < pool < selected < 1
    assert np.all(np.diff([found.informative[group][1] for group in sorted(found.informative)]) > 0)


def test_rollouts_without_a_time_are_counted_instead(tmp_path: Path) -> None:
    made = fabricate(tmp_path, 60, broken=0)
    made.store.close()
    cost = {"stages": {"sample image": {"seconds": 0.0, "rollouts": 300}}, "total": {"seconds": 0.0}}
    found = pay_back(made.selection, cost)
    assert found is not None
    assert found.spent == 60 * 2 * 5


def test_nothing_selected_has_no_break_even(tmp_path: Path) -> None:
    made = fabricate(tmp_path, 30, broken=0)
    made.store.close()
    made.selection.decision.verdicts[:] = "easy"
    assert pay_back(made.selection, {"stages": {}, "total": {"seconds": 1.0}}) is None
