"""`rap eval compare` over results of both hosts."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.errors import RapError
from rap_plugin.evaluation.compare import compare
from rap_plugin.evaluation.grade import SCORER
from rap_plugin.evaluation.results import read_results
from rap_plugin.evaluation.tables import markdown, page

FACTS = {"scorer": f"rap {SCORER}", "prompt": "p", "judge": "none", "content_sha256": "c" * 64}


def records(share: float, count: int = 200, seed: int = 0, **groups: str) -> list[dict[str, Any]]:
    draws = random.Random(seed)
    found = []
    for i in range(count):
        right = draws.random() < share
        found.append(
            {"id": str(i), "score": float(right), "status": "right" if right else "wrong", "said": "A", "gold": "A",
             "judged": 0.0, "unread": 0.0, "unjudged": 0.0, "reason": "", "groups": groups}
        )  # fmt: skip
    return found


def lmms(folder: Path, model: str, tasks: dict[str, list[dict[str, Any]]], **facts: Any) -> Path:
    """Files as lmms-eval 0.7.3 writes them."""
    home = folder / model
    home.mkdir(parents=True, exist_ok=True)
    configs = {f"rap_{task}": {"task": f"rap_{task}", "metadata": {**FACTS, **facts}} for task in tasks}
    content = {"results": {name: {} for name in configs}, "configs": configs, "model_name": model}
    (home / "20261121_120000_results.json").write_text(json.dumps(content))
    for task, rows in tasks.items():
        lines = [
            json.dumps({"doc_id": i, "token_counts": [{"output_tokens": 100}], "accuracy": {k: v for k, v in row.items() if v is not None}})
            for i, row in enumerate(rows)
        ]  # fmt: skip
        (home / f"20261121_120000_samples_rap_{task}.jsonl").write_text("\n".join(lines))
    return home


def vlmeval(folder: Path, model: str, dataset: str, rows: list[dict[str, Any]], **changes: Any) -> Path:
    document = {
        "format": "rap-vlmeval-scores",
        "version": 1,
        "dataset": dataset,
        "facts": FACTS,
        "measures": {},
        "records": rows,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{model}_{dataset}_rap_scores.json"
    path.write_text(json.dumps({**document, **changes}))
    return path


def read(*paths: Path) -> Any:
    found, problems = read_results(paths)
    assert problems == []
    return compare(found)


def test_results_of_both_hosts_stand_in_one_table(tmp_path: Path) -> None:
    one = lmms(tmp_path, "base", {"mmstar": records(0.5)})
    vlmeval(tmp_path / "v", "tuned", "RAP_MMStar", records(0.8, seed=1))
    done = CliRunner().invoke(cli, ["eval", "compare", str(one), str(tmp_path / "v"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "| MMStar | base | accuracy |" in done.output
    assert "| MMStar | tuned | accuracy |" in done.output
    assert "paper, Qwen2.5-VL-7B: RAP, 5,159 | 73.20 | 62.53 | 48.65 | 42.00 | 63.31 | 46.53 | 56.04 |" in done.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"compare.md", "compare.csv", "compare.html"}
    rows = list(csv.DictReader((tmp_path / "out/compare.csv").open()))
    assert {row["table"] for row in rows} == {"result", "difference"}
    html = (tmp_path / "out/compare.html").read_text()
    assert "<svg" in html
    assert "http-equiv" not in html
    assert "src=" not in html


def test_a_better_model_is_found_over_the_same_problems(tmp_path: Path) -> None:
    before = records(0.5)
    after = [{**row, "score": 1.0 if i % 4 == 0 else row["score"]} for i, row in enumerate(before)]
    comparison = read(lmms(tmp_path, "base", {"mmstar": before}), lmms(tmp_path, "tuned", {"mmstar": after}))
    (difference,) = comparison.differences
    gained = sum(b["score"] > a["score"] for a, b in zip(before, after, strict=True))
    assert difference.value == pytest.approx(gained / 200)
    assert difference.low <= difference.value <= difference.high
    assert difference.p == pytest.approx(2 * 0.5**gained)
    assert [cell.tokens for cell in comparison.cells] == [100.0, 100.0]


def test_visual_dependence_is_with_images_minus_without(tmp_path: Path) -> None:
    comparison = read(lmms(tmp_path, "m", {"vstar": records(0.9, seed=1), "vstar_blind": records(0.3, seed=2)}))
    (dependence,) = comparison.dependence
    seen = sum(row["score"] for row in records(0.9, seed=1)) / 200
    blind = sum(row["score"] for row in records(0.3, seed=2)) / 200
    assert dependence.value == pytest.approx(seen - blind)
    assert dependence.p is not None
    assert dependence.p < 0.001


def test_the_five_versions_of_mathverse_are_also_one_benchmark(tmp_path: Path) -> None:
    versions = ("text_dominant", "text_lite", "vision_intensive", "vision_dominant", "vision_only")
    comparison = read(lmms(tmp_path, "m", {f"mathverse_{v}": records(0.5, 20, i) for i, v in enumerate(versions)}))
    (whole,) = [cell for cell in comparison.cells if cell.task == "mathverse"]
    assert whole.count == 100
    assert whole.value == pytest.approx(sum(c.value * 20 for c in comparison.cells if c.task != "mathverse") / 100)


@pytest.mark.parametrize(("changed", "word"), [("content_sha256", "data"), ("prompt", "prompts"), ("judge", "judges")])
def test_results_that_are_not_comparable_are_shown_and_not_paired(tmp_path: Path, changed: str, word: str) -> None:
    one = lmms(tmp_path, "a", {"mmstar": records(0.5)})
    other = lmms(tmp_path, "b", {"mmstar": records(0.5)}, **{changed: "another"})
    comparison = read(one, other)
    assert comparison.differences == []
    assert len(comparison.cells) == 2
    assert comparison.notes == [f"mmstar: a and b have other {word}: not paired"]


def test_unjudged_responses_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = records(0.5, 100)
    for row in rows[:40]:
        row |= {"score": None, "status": "unjudged", "unjudged": 1.0}
    (cell,) = read(lmms(tmp_path, "m", {"mmvet": rows})).cells
    assert cell.unjudged == pytest.approx(0.4)
    assert cell.value == pytest.approx(sum(row["score"] for row in rows[40:]) / 60)


Spoil = Callable[[Path], Path]


def other_scorer(folder: Path) -> Path:
    return lmms(folder, "old", {"mmstar": records(0.5)}, scorer="rap 0")


def other_format(folder: Path) -> Path:
    return vlmeval(folder / "v", "old", "RAP_MMStar", records(0.5), version=7)


def no_samples(folder: Path) -> Path:
    home = lmms(folder, "bare", {"mmstar": records(0.5)})
    next(home.glob("*_samples_*")).unlink()
    return home


def no_json(folder: Path) -> Path:
    (folder / "x_results.json").write_text("{")
    return folder / "x_results.json"


def other_tasks(folder: Path) -> Path:
    (folder / "y_results.json").write_text(json.dumps({"results": {}, "configs": {"mmstar": {}}}))
    return folder / "y_results.json"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (other_scorer, f"was scored by rap 0, this is rap {SCORER}; evaluate it again"),
        (other_format, "written by another version (format 7); score the predictions again"),
        (no_samples, "has no record of single responses; run lmms-eval with --log_samples"),
        (no_json, "cannot be read"),
        (other_tasks, "no rap_ task among its results"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_and_the_others_are_compared(
    tmp_path: Path, spoil: Spoil, said: str
) -> None:
    bad, good = spoil(tmp_path), lmms(tmp_path, "good", {"mmstar": records(0.5)})
    found, problems = read_results([bad, good])
    assert [result.model for result in found] == ["good"]
    assert len(problems) == 1
    assert said in problems[0]
    assert "\n" not in problems[0]
    with pytest.raises(RapError):
        read_results([bad])


def test_a_sample_file_cut_off_in_a_line_keeps_its_whole_lines(tmp_path: Path) -> None:
    home = lmms(tmp_path, "m", {"mmstar": records(0.5, 10)})
    path = next(home.glob("*_samples_*"))
    path.write_text(path.read_text()[:-40])
    (cell,) = read(home).cells
    assert cell.count == 9


@pytest.mark.parametrize(
    "damage",
    [
        {"score": "1"}, {"score": float("nan")}, {"score": 7}, {"unread": "x"}, {"groups": ["a"]}, {"id": 1.5},
        {"extra": 1},
    ],
)  # fmt: skip
def test_a_record_that_no_measure_can_compute_with_is_left_out_and_counted(
    tmp_path: Path, damage: dict[str, Any]
) -> None:
    rows = records(0.5, 10)
    rows[3] |= damage
    for home in (lmms(tmp_path, "one", {"mmstar": rows}), vlmeval(tmp_path / "v", "two", "RAP_MMStar", rows)):
        found, problems = read_results([home])
        assert len(problems) == 1
        assert "1 records of mmstar that cannot be read" in problems[0]
        assert compare(found).cells[0].count == 9


def test_groups_and_token_counts_of_another_form_stop_no_comparison(tmp_path: Path) -> None:
    home = lmms(tmp_path, "m", {"mmvp": records(0.5, 10)})
    path = next(home.glob("*_samples_*"))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row, counts in zip(rows, [7, {"output_tokens": 3}, ["x"], [{"output_tokens": "12"}], None], strict=False):
        row["token_counts"] = counts
        row["accuracy"]["groups"] = {"pair": None, "category": 3}
    path.write_text("\n".join(map(json.dumps, rows)))
    (cell,) = read(home).cells
    assert (cell.count, cell.tokens) == (10, 100.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dataset": None}, "no data set 'None' in this version"),
        ({"dataset": ["RAP_MMStar"]}, "in this version"),
        ({"facts": None}, "holds no facts or no records"),
        ({"records": {"a": 1}}, "holds no facts or no records"),
    ],
)
def test_a_score_file_that_lacks_something_is_one_line(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    bad = vlmeval(tmp_path / "v", "bad", "RAP_MMStar", records(0.5, 5))
    bad.write_text(json.dumps({**json.loads(bad.read_text()), **changes}))
    found, problems = read_results([bad, lmms(tmp_path, "good", {"mmstar": records(0.5, 5)})])
    assert [result.model for result in found] == ["good"]
    assert len(problems) == 1
    assert said in problems[0]


def test_two_models_of_one_name_in_two_folders_are_told(tmp_path: Path) -> None:
    first = lmms(tmp_path / "x", "m", {"mmstar": records(0.5, 10)})
    second = lmms(tmp_path / "y", "m", {"mmstar": records(0.9, 10)})
    found, problems = read_results([first, second])
    assert len(found) == 1
    assert len(problems) == 1
    assert problems[0].endswith("and the later one counts; give two models two names")
    assert read_results([first, first])[1] == []
    run = vlmeval(tmp_path / "v" / "T20261121", "m", "RAP_MMStar", records(0.5, 10))
    (tmp_path / "v" / run.name).symlink_to(run)
    assert read_results([tmp_path / "v"])[1] == []


def test_names_from_files_cannot_break_the_page_the_table_or_a_spreadsheet(tmp_path: Path) -> None:
    comparison = read(lmms(tmp_path, "=cmd|<script>alert(1)<script>", {"mmstar": records(0.5, 5)}))
    assert "<script>" not in page(comparison).split("<svg")[0] + page(comparison).split("</svg>")[-1]
    assert "=cmd\\|" in markdown(comparison)
    found = CliRunner().invoke(cli, ["eval", "compare", str(tmp_path), "--out", str(tmp_path / "out")])
    assert found.exit_code == 0
    assert "'=cmd|" in (tmp_path / "out/compare.csv").read_text()


def test_an_unknown_model_or_path_is_one_line(tmp_path: Path) -> None:
    home = lmms(tmp_path, "m", {"mmstar": records(0.5, 5)})
    for arguments, said in (
        ([str(home), "--against", "x"], "--against takes one of m"),
        ([str(tmp_path / "nowhere")], "no such file or folder"),
    ):
        done = CliRunner().invoke(cli, ["eval", "compare", *arguments])
        assert isinstance(done.exception, RapError)
        assert said in str(done.exception)
