"""Cut responses and missing forms: counted by arm and verdict, said in the summary, the report and the notes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rap_plugin import RapError, load_config, select_run
from rap_plugin.config import RunConfig
from rap_plugin.evidence.table import EvidenceTable
from rap_plugin.pipeline.summary import print_summary
from rap_plugin.report.responses import cut_shares, response_notes
from tests.pipeline.test_select import make_config
from tests.tables import make_table


def table_with(cut: list[int], well_formatted: int = 0) -> EvidenceTable:
    table = make_table([3] * len(cut), [0] * len(cut))
    image = replace(table.arms["image"], cut=np.array(cut), well_formatted=np.array([well_formatted] * len(cut)))
    return replace(table, arms={**table.arms, "image": image})


def config(**flags: object) -> RunConfig:
    return load_config(flags={name.replace("__", "."): value for name, value in flags.items()})


def test_shares_are_of_the_responses_of_an_arm() -> None:
    table = table_with([5, 0])
    assert (cut_shares(table).image, cut_shares(table).blind) == (0.5, 0.0)
    assert cut_shares(table, np.array([False, True])).image == 0.0
    assert cut_shares(table, np.array([False, False])).image is None


def test_a_twentieth_of_cut_responses_is_tolerated_and_more_is_said() -> None:
    plain = config(prompt__instruction="")
    assert response_notes(table_with([1, 0, 0, 0]), plain) == []
    (note,) = response_notes(table_with([1, 1, 0, 0]), plain)
    assert note.startswith("10% of the responses with the image and 0% of those without were cut off")


def test_responses_without_the_form_that_is_asked_for_are_said() -> None:
    table = table_with([0])
    assert "does not follow prompt.instruction" in response_notes(table, config())[0]
    assert "no reward is exactly 1" in response_notes(table, config(selection__preset="released"))[0]
    assert response_notes(table, config(prompt__instruction="")) == []
    assert response_notes(table_with([0], well_formatted=1), config(selection__preset="released")) == []


def test_a_selection_that_is_empty_for_want_of_the_form_does_not_blame_the_model(tmp_path: Path, write_pool) -> None:
    with pytest.raises(RapError, match=r"no response is <think>.*so no reward is exactly 1; give an instruction"):
        select_run(
            make_config(write_pool(12), selection__preset="released", grading__format_weight=0.1),
            tmp_path / "run",
            quiet=True,
        )


def test_cut_responses_are_shown_by_arm_and_verdict(
    tmp_path: Path, write_pool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    cut = make_config(write_pool(24), model__options={"cut": 1})
    result = select_run(cut, tmp_path / "run", quiet=True)
    print_summary(result)
    said = capsys.readouterr().out
    assert "cut off at the token limit, with the image / without: " in said
    assert said.count("20.0%") >= 2 * len(result.selection.decision.counts())
    assert "20% of the responses with the image and 20% of those without were cut off" in said
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "20.0 % of all with the image, 20.0 % without." in page
    assert page.count('<td class="n">20.0 %</td>') == 2 * len(result.selection.decision.counts())
    whole = select_run(make_config(write_pool(24)), tmp_path / "whole", quiet=True)
    print_summary(whole)
    assert "cut off" not in capsys.readouterr().out
    assert "No response ended at the limit of 2,048 tokens" in (tmp_path / "whole" / "report.html").read_text()
