"""`rap r3 run`, `looks` and `faithfulness` over a pool, on a real engine."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.errors import RapError
from rap_plugin.evaluation import BenchmarkItem
from rap_plugin.evaluation.prepared_data import SCHEMA, row_of
from rap_plugin.vlm_r3.study import looks_of_run
from tests.vlm_r3 import looker as script


def encoded(number: int) -> bytes:
    buffer = io.BytesIO()
    script.picture(number).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen problems; every second gold is what the looker says; boxes of the evidence are those of its first look."""
    path = tmp_path_factory.mktemp("pool") / "pool.parquet"
    rows = range(16)
    x = [4 * (number % 8) for number in rows]
    y = [5 * (number // 8) for number in rows]
    pq.write_table(
        pa.table(
            {
                "question": [script.question(number) for number in rows],
                "answer": ["ABCD"[number % 4] if number % 2 else "Z" for number in rows],
                "images": [[encoded(number)] for number in rows],
                "bbox": [[a, b, a + 41, b + 31] for a, b in zip(x, y, strict=True)],
            }
        ),
        path,
    )
    return path


def arguments(pool: Path, looker: Path, out: Path, *more: str) -> list[str]:
    named = {
        "r3.instruction": "''",
        "r3.min_crop_pixels": 784,
        "r3.max_crop_pixels": 3136,
        "r3.max_crop_tokens": 100,
        "sampling.max_prompt_tokens": 200,
        "sampling.max_new_tokens": 160,
    }
    sets = [f"--set={name}={value}" for name, value in named.items()]
    return [
        "r3",
        "run",
        str(pool),
        "--model",
        str(looker),
        "--out",
        str(out),
        "--grader",
        "text",
        "--quiet",
        *sets,
        *more,
    ]


@pytest.fixture(scope="module")
def made(pool: Path, looker: Path, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("run") / "run"
    done = CliRunner().invoke(cli, arguments(pool, looker, out), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return out, done.output


def traces(run: Path) -> list[tuple]:
    with sqlite3.connect(run / "evidence.sqlite") as db:
        return db.execute("SELECT sample, probe, rollout, trace FROM traces ORDER BY 1, 2, 3").fetchall()


def test_every_problem_has_one_graded_answer_and_one_trace(made) -> None:
    run, output = made
    assert "16 answers sampled" in output
    assert len(traces(run)) == 16
    found = looks_of_run(run)
    assert found["accuracy"]["count"] == 8
    assert found["accuracy"]["of"] == 16
    assert found["crops_per_answer"] == 15 / 16
    assert found["valid_boxes"] == {**found["valid_boxes"], "count": 15, "of": 17}
    assert set(found["accuracy_by_crops"]) == {"0", "1", "2"}


def test_a_second_call_samples_nothing_and_changes_nothing(made, pool: Path, looker: Path) -> None:
    run, _ = made
    before = traces(run)
    done = CliRunner().invoke(cli, arguments(pool, looker, run), catch_exceptions=False)
    assert "0 answers sampled" in done.output
    assert traces(run) == before


def test_a_run_that_was_stopped_goes_on_with_what_is_missing(
    pool: Path, looker: Path, tmp_path: Path, monkeypatch
) -> None:
    from rap_plugin.vlm_r3 import run as module

    finish, seen = module.RegionArm._finish, []

    def stop_after_five(self, row) -> None:
        seen.append(row.key)
        finish(self, row)
        if len(seen) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(module.RegionArm, "_finish", stop_after_five)
    out = tmp_path / "run"
    CliRunner().invoke(cli, arguments(pool, looker, out, "--batch-size", "2"))
    monkeypatch.undo()
    assert len(traces(out)) == 5
    done = CliRunner().invoke(cli, arguments(pool, looker, out, "--batch-size", "2"), catch_exceptions=False)
    assert "11 answers sampled" in done.output
    assert len(traces(out)) == 16


def test_other_options_are_other_evidence(made, pool: Path, looker: Path) -> None:
    run, _ = made
    refused = CliRunner().invoke(cli, arguments(pool, looker, run, "--set=r3.max_crops=1"))
    assert isinstance(refused.exception, RapError)
    assert "r3.max_crops" in str(refused.exception)


def test_the_report_of_a_region_run_says_how_it_looked_and_then_whether_that_matters(made) -> None:
    run, _ = made
    first = CliRunner().invoke(cli, ["report", str(run)], catch_exceptions=False)
    assert first.output.strip() == str(run / "report.html")
    page = (run / "report.html").read_text()
    assert "50.0 % (28.0 to 72.0) of 16 right" in page
    assert "crops per answer" in page
    assert "Whether looking matters was not measured" in page
    CliRunner().invoke(cli, ["r3", "faithfulness", str(run), "--quiet"], catch_exceptions=False)
    CliRunner().invoke(cli, ["report", str(run)], catch_exceptions=False)
    page = (run / "report.html").read_text()
    assert "not measured" not in page
    measured = (run / "faithfulness.html").read_text()
    body = measured[measured.index("</h1>") : measured.rindex("<p class")]
    assert body in page, "the same tables from the same template"


def test_faithfulness_compares_the_same_problems_with_other_crops(made) -> None:
    run, _ = made
    done = CliRunner().invoke(cli, ["r3", "faithfulness", str(run), "--quiet"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads((run / "faithfulness.json").read_text())
    assert [one["crops"] for one in found["contrasts"]] == ["blank", "swapped", "random", "none"]
    for one in found["contrasts"]:
        assert one["accuracy"]["of"] == 16
        assert one["loss"] == pytest.approx((8 - one["accuracy"]["count"]) / 16)
        assert one["changed"]["of"] == 11
    assert found["evidence_shown"] > 0.5
    assert "points" in done.output
    page = (run / "faithfulness.html").read_text()
    assert "grey crops" in page
    assert "http" not in page.replace("http-equiv", "")
    # Rows that were shown nothing are not asked again: 5 of 16.
    with sqlite3.connect(run / "evidence.sqlite") as db:
        assert db.execute("SELECT count(*) FROM traces").fetchone() == (80,)
        sampled = dict(db.execute("SELECT stage, sum(rollouts) FROM ledger GROUP BY stage"))
    assert sampled["look_blank"] == 16
    again = CliRunner().invoke(cli, ["r3", "faithfulness", str(run), "--quiet"], catch_exceptions=False)
    assert json.loads((run / "faithfulness.json").read_text()) == found
    assert again.exit_code == 0


def test_a_run_without_region_rows_says_so(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["r3", "looks", str(tmp_path)])
    assert isinstance(done.exception, RapError)


def test_a_prepared_benchmark_is_also_measured_by_its_own_rules(looker: Path, tmp_path: Path) -> None:
    """MMVP: four pairs, of which the looker gets both images of the first, one of the second and third, none of the fourth."""
    wrong = {3, 4, 6, 7}
    folder = tmp_path / "mmvp"
    folder.mkdir()
    rows = [
        row_of(
            BenchmarkItem(
                id=str(number + 1),
                question=script.question(number),
                gold="ABCD"[(number + (number in wrong)) % 4],
                kind="choice",
                groups={"pair": str(number // 2)},
            ),
            encoded(number),
        )
        for number in range(8)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "test.parquet")
    (folder / "manifest.json").write_text(json.dumps({"layout": 1, "benchmark": "mmvp", "parts": {}}))
    done = CliRunner().invoke(cli, arguments(folder / "test.parquet", looker, tmp_path / "run"))
    assert done.exit_code == 0, done.output
    assert "accuracy                       50.0 %" in done.output
    assert "boxes that are valid           100.0 %" in done.output
    assert "MMVP, by its own rules, 8 of 8 rows" in done.output
    assert "pair_accuracy (headline)  25.0 %" in done.output
    official = looks_of_run(tmp_path / "run")["official"]
    assert official["measures"] == {"accuracy": 0.5, "unread": 0.0, "pair_accuracy": 0.25}
    shutil.move(folder, tmp_path / "away")
    told = CliRunner().invoke(cli, ["r3", "looks", str(tmp_path / "run")])
    assert told.exit_code == 0
    assert "accuracy                       50.0 %" in told.output
    assert "MMVP" not in told.output
