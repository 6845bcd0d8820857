"""`rap modality-gap report`: one file from trainings, measurements and results of evaluation hosts."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.modality_gap.host_results import PAIRS, read_all
from rap_plugin.modality_gap.records import FILE, GapRecord, write_records
from rap_plugin.modality_gap.report import HEAD, page, points_of, summary_rows


def training(recipe: str, improves: float, seeds: int = 2) -> list[GapRecord]:
    """A made-up training whose image accuracy grows by `improves` a step."""
    return [
        GapRecord(
            recipe, seed, step, f"p{i}", ("line", "circle")[i % 2], rendering, condition,
            tuple(float((i + k) % 10 < round(10 * (0.8 if condition == "text" else 0.2 + improves * step / 10))) for k in range(4)),
            ("1", "2", "3", None), (20, 21, 22, 23),
        )
        for seed in range(seeds)
        for step in (0, 10, 20)
        for i in range(20)
        for rendering in ("plain", "hand")
        for condition in ("text", "image")
    ]  # fmt: skip


@pytest.fixture(scope="module")
def records() -> list[GapRecord]:
    return [*training("mix", 0.2), *training("no_text", 0.1)]


def test_a_line_per_recipe_and_step_in_the_order_of_training(records: list[GapRecord]) -> None:
    rows = [dict(zip(HEAD, row, strict=True)) for row in summary_rows(points_of(records))]
    assert [(row["recipe"], row["step"]) for row in rows] == [
        (r, s) for r in ("mix", "no_text") for s in ("0", "10", "20")
    ]
    assert [row["gap"] for row in rows[:3]] == ["+60.0", "+40.0", "+20.0"]
    assert (rows[0]["seeds"], rows[0]["problems"], rows[0]["tokens text"], rows[0]["spread"]) == (
        "2",
        "20",
        "22",
        "0.0",
    )


class Loads(HTMLParser):
    """What a page would load from elsewhere, and its headings."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.found += [str(value) for name, value in attributes if name in ("src", "href") and value]


def test_the_page_is_one_file_with_a_chart_of_each_quantity(records: list[GapRecord]) -> None:
    text = page(records, ["x.jsonl: 2 lines cannot be read"])
    looked = Loads()
    looked.feed(text)
    assert (looked.found, looked.scripts) == ([], 0)
    assert text.count("<svg") == 6
    for title in (
        "facts in words",
        "image alone",
        "Gap: text - image",
        "Both right",
        "Same answer",
        "Tokens of a response",
    ):
        assert f"{title}" in text
    assert "By problem type" in text
    assert "By rendering" in text
    assert "By seed" in text
    assert "All steps" in text
    assert "x.jsonl: 2 lines cannot be read" in text


def test_a_hostile_name_stays_text() -> None:
    name = '<script>alert(1)</script>"&'
    text = page([GapRecord(name, 0, 0, "p", name, name, c, (1.0,)) for c in ("text", "image")])  # type: ignore[arg-type]
    assert "<script" not in text


def test_one_measurement_without_steps_is_drawn_as_points() -> None:
    text = page([GapRecord("model", 0, 0, f"p{i}", "", "", c, (1.0, 0.0)) for i in range(9) for c in ("text", "image")])  # type: ignore[arg-type]
    assert text.count("<svg") == 4
    assert "By problem type" not in text


def test_the_command_writes_the_page_and_says_the_gap(records: list[GapRecord], tmp_path: Path) -> None:
    write_records(tmp_path / "mix" / FILE, records)
    done = CliRunner().invoke(cli, ["modality-gap", "report", str(tmp_path), "--out", str(tmp_path / "gap.html")])
    assert done.exit_code == 0, done.output
    assert re.search(
        r"mix, step 20: text 80\.0 %, image 60\.0 %, gap \+20\.0 \(\+\S+ \.\. \+\S+, p .+\), 20 problems", done.output
    )
    assert (tmp_path / "gap.html").read_text().startswith("<!doctype html>")
    assert isinstance(CliRunner().invoke(cli, ["modality-gap", "report", str(tmp_path / "no")]).exception, Exception)
    lost = CliRunner().invoke(
        cli, ["modality-gap", "report", str(tmp_path), "--out", str(tmp_path / "gone" / "gap.html")]
    )
    assert "cannot be written" in str(lost.exception)


def test_every_pair_of_host_tasks_is_a_task_that_exists() -> None:
    from rap_plugin.evaluation.benchmarks import find_task

    for sides in PAIRS.values():
        assert set(sides.values()) == {"text", "image"}
        for task in sides:
            find_task(task)


def test_results_of_an_evaluation_host_are_paired_by_problem(tmp_path: Path) -> None:
    """rap-vlmeval's score files of PGPS9K's two tasks and of two versions of MathVerse."""
    import json

    from rap_plugin.evaluation.grade import SCORER

    def scores(dataset: str, records: list[dict[str, object]]) -> None:
        content = {
            "format": "rap-vlmeval-scores", "version": 1, "dataset": dataset, "facts": {"scorer": f"rap {SCORER}"}, "records": records,
        }  # fmt: skip
        (tmp_path / f"m_{dataset}_rap_scores.json").write_text(json.dumps(content))

    def one(key: str, score: float | None, said: str, **groups: str) -> dict[str, object]:
        return {"id": key, "score": score, "said": said, "groups": groups}

    scores("RAP_PGPS9K_text", [one("p1", 0.75, "4", type="Angle"), one("p2", 1.0, "3"), one("p3", None, "")])
    scores("RAP_PGPS9K_image", [one("p1", 0.25, "5", type="Angle"), one("p2", 1.0, "3"), one("p3", 1.0, "3")])
    scores("RAP_MathVerse_text_dominant", [one("1", 1.0, "A", problem="7"), one("6", 1.0, "B", problem="8")])
    scores("RAP_MathVerse_vision_only", [one("5", 0.0, "B", problem="7"), one("10", 1.0, "B", problem="8")])
    records, problems = read_all([tmp_path])
    assert problems == []
    gaps = {point.recipe: point.gap for point in points_of(records)}
    assert {name: gap.gap for name, gap in gaps.items()} == {
        "m: PGPS9K": 0.25,
        "m: MathVerse, text dominant - vision only": 0.5,
    }
    assert (gaps["m: PGPS9K"].problems, gaps["m: PGPS9K"].unpaired) == (2, 1)
    assert gaps["m: MathVerse, text dominant - vision only"].agreement.same_answer == 0.5
