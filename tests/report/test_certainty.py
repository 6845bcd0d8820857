"""Stability in the page: probabilities that are those of the posterior, whatever part of the pool they are drawn for."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from rap_plugin.evidence.rollouts import read_rollouts
from rap_plugin.pipeline.forecast import forecast
from rap_plugin.report import certainty, charts
from rap_plugin.report.certainty import Certainty, measure_certainty
from tests.fabricate import Fabricated, fabricate


def measured(made: Fabricated, shown: tuple[int, ...] = ()) -> Certainty:
    found = measure_certainty(made.store, made.selection, shown)
    assert found is not None
    return found


def test_the_counts_are_those_of_rap_compare(made: Fabricated) -> None:
    found, expected = measured(made), forecast(made.store, made.selection, certainty.DRAWS)
    assert (found.firm_in, found.open) == (expected.firm, expected.open)
    assert found.agreement is not None
    assert found.agreement[0] == expected.agreement
    assert found.firm_in + found.firm_out + found.open <= found.looked_at == len(made.selection.table)


def test_what_the_rule_is_sure_of_is_probable_and_what_it_is_not_is_open(made: Fabricated) -> None:
    chance, verdicts = measured(made).chance, made.selection.decision.verdicts
    assert chance[verdicts == "language_prior"].mean() < 0.15 < 0.5 < chance[verdicts == "selected"].mean()
    assert ((chance >= 0) & (chance <= 1)).all()


def test_of_a_large_pool_a_part_is_drawn_for_and_the_shown_samples(
    made: Fabricated, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = measured(made).chance
    monkeypatch.setattr(certainty, "MOST_SAMPLES", 150)
    last = int(np.argsort(made.selection.table.ids, kind="stable")[-1])
    part = measured(made, (last,))
    assert part.looked_at == 150
    assert np.isfinite(part.chance).sum() == 151
    there = np.isfinite(part.chance)
    assert np.abs(part.chance - whole)[there].mean() < 0.06


def test_a_run_within_a_budget_tells_the_probabilities_that_it_was_decided_by(tmp_path: Path) -> None:
    made = fabricate(tmp_path, 60, broken=0, sampling__budget_rollouts=0.6)
    with closing(made.store):
        found = measured(made)
    assert found.of_full_run
    assert np.array_equal(found.chance, made.selection.scores["probability"], equal_nan=True)


def test_a_number_of_rows_leaves_the_probabilities_of_the_verdicts(tmp_path: Path) -> None:
    made = fabricate(tmp_path, 60, broken=0, selection__size_multiple=50)
    with closing(made.store):
        assert measured(made).open > 0


def test_rollouts_of_few_samples_are_those_of_a_scan_over_all(
    made: Fabricated, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up = read_rollouts(made.store, made.selection.table, "image")
    monkeypatch.setattr("rap_plugin.evidence.rollouts.LOOKED_UP", 0)
    scanned = read_rollouts(made.store, made.selection.table, "image")
    assert all(np.array_equal(looked_up.counts[name], scanned.counts[name]) for name in scanned.counts)


def test_the_chart_draws_the_open_samples_once(made: Fabricated) -> None:
    assert 'data-shows="selected chance ' in charts.chance_chart(made.selection, measured(made).chance)
    assert charts.chance_chart(made.selection, np.ones(len(made.selection.table))) == ""
