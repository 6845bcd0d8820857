"""Whether looking matters, in the report of a run."""

from __future__ import annotations

import json
from contextlib import closing
from html import escape
from pathlib import Path

import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.errors import RapError
from rap_plugin.vlm_r3.faithfulness import Faithfulness, measure_faithfulness
from rap_plugin.vlm_r3.stored import read_faithfulness
from rap_plugin.vlm_r3.study import tables_of, verdict
from tests.fabricate import fabricate
from tests.vlm_r3.test_faithfulness import rows

NAME = "<script>alert(1)</script>"


def results() -> Faithfulness:
    own = rows([True] * 40 + [False] * 10, [True] * 48 + [False] * 2)
    others = {"blank": rows([True] * 10 + [False] * 40), "random": rows([True] * 20 + [False] * 30)}
    boxes = {at: ((10, 10, 50, 50),) if at % 3 else ((200, 200, 220, 220),) for at in range(50)}
    return measure_faithfulness(own, others, boxes)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "faithfulness.json"
    path.write_text(json.dumps({"model": NAME, **results().as_dict()}))
    return path


def test_what_was_written_is_read_as_it_was(stored: Path) -> None:
    model, found = read_faithfulness(stored)
    assert model == NAME
    assert json.loads(json.dumps(found.as_dict())) == json.loads(json.dumps(results().as_dict()))
    assert tables_of(found) == tables_of(results())


def test_the_report_of_a_selection_shows_the_same_tables(stored: Path, tmp_path: Path) -> None:
    made = fabricate(tmp_path / "made", 24)
    with closing(made.store):
        pass
    told = CliRunner().invoke(cli, ["report", str(made.run)], catch_exceptions=False)
    assert told.exit_code == 0
    without = (made.run / "report.html").read_text()
    assert "looking" not in without.lower().split("<style>")[0] + without.split("</style>")[1]
    CliRunner().invoke(cli, ["report", str(made.run), "--faithfulness", str(stored)], catch_exceptions=False)
    page = (made.run / "report.html").read_text()
    for text in (
        verdict(results()),
        *(cell for table in tables_of(results()) for row in table["rows"] for cell in row),
    ):
        assert escape(text).replace("&#x27;", "&#39;") in page
    assert '<a href="#looking">' in page
    assert escape(NAME) in page
    assert NAME not in page
    # Results in the run itself need no option.
    (made.run / "faithfulness.json").write_bytes(stored.read_bytes())
    CliRunner().invoke(cli, ["report", str(made.run)], catch_exceptions=False)
    assert (made.run / "report.html").read_text() == page


@pytest.mark.parametrize(
    "change",
    [
        {"contrasts": [{"crops": "painted"}]},
        {"accuracy_own_crops": {"count": 5, "of": 3}},
        {"looks": {}},
        {"evidence_shown": "much"},
        {"accuracy_by_crops": []},
    ],
)
def test_a_file_that_holds_no_results_is_told_in_one_line(stored: Path, change: dict) -> None:
    stored.write_text(json.dumps(json.loads(stored.read_text()) | change))
    with pytest.raises(RapError, match=r"faithfulness\.json: cannot be read .*rap r3 faithfulness") as told:
        read_faithfulness(stored)
    assert "\n" not in str(told.value)


def test_no_results_are_told_too(tmp_path: Path) -> None:
    with pytest.raises(RapError, match="nothing is known there"):
        read_faithfulness(tmp_path / "faithfulness.json")
