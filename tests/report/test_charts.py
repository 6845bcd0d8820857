"""Charts: counted first, complete, and in colours that the style sheet knows."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import numpy as np

from rap_plugin.report import charts
from rap_plugin.report.page import figures, stylesheet
from rap_plugin.report.sensitivity import measure_sensitivity
from tests.fabricate import Fabricated, fabricate


def every_chart(made: Fabricated) -> list[str]:
    sensitivity = measure_sensitivity(made.store, made.selection)
    return [
        *(chart for _, _, chart in figures(made.selection)),
        charts.outcome_chart(sensitivity.lambda_c, "a"),
        charts.outcome_chart(sensitivity.lambda_a, "b"),
    ]


def test_all_colours_are_stand_ins_that_the_style_sheet_replaces(made: Fabricated) -> None:
    style = stylesheet()
    found = every_chart(made)
    assert len(found) == 6
    for chart in found:
        for name, colour in re.findall(r'\b(fill|stroke)="([^"]+)"', chart):
            if colour not in ("none", "transparent"):
                assert f'[{name}="{colour}"]' in style, colour
        assert "style=" not in chart
        assert "font-family" not in chart


def test_a_chart_has_as_many_marks_for_a_hundred_times_the_samples(made: Fabricated) -> None:
    assert all(len(chart) < 60_000 for chart in every_chart(made))


def test_stacked_bars_hold_every_sample_once() -> None:
    draws = np.random.default_rng(3)
    bins = draws.integers(0, 7, 5000)
    verdicts = draws.choice(["selected", "easy", "somebody_elses"], 5000)
    edges = np.arange(8.0)
    bars = charts._stacked(bins, verdicts, edges[:-1], edges[1:])
    for column in range(7):
        here = sorted((bar for bar in bars if bar["left"] == column), key=lambda bar: bar["bottom"])
        assert [bar["bottom"] for bar in here] == [0.0, *(bar["top"] for bar in here[:-1])]
        assert here[-1]["top"] == (bins == column).sum()
    heights = {bar["colour"]: 0.0 for bar in bars}
    for bar in bars:
        heights[bar["colour"]] += bar["top"] - bar["bottom"]
    assert heights == {
        charts.STAND_INS["selected"]: (verdicts == "selected").sum(),
        charts.STAND_INS["easy"]: (verdicts == "easy").sum(),
        charts.STAND_INS["other"]: (verdicts == "somebody_elses").sum(),
    }


def test_thresholds_are_marked(made: Fabricated) -> None:
    assert "λc = 0.5" in charts.discrepancy_chart(made.selection)
    assert "λa = 0.1" in charts.psi_chart(made.selection)


def test_without_measured_attention_there_is_no_chart_of_it(tmp_path: Path) -> None:
    with closing((made := fabricate(tmp_path, 40, attention=False)).store):
        assert charts.psi_chart(made.selection) == ""
        assert [title for title, _, _ in figures(made.selection)] == [
            "What the image adds",
            "Discrepancy",
            "Difficulty",
        ]
