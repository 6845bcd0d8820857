"""Preparing benchmarks from folders laid out as their releases are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.errors import RapError
from rap_plugin.evaluation.benchmarks import BENCHMARKS, find_benchmark
from rap_plugin.evaluation.prepare import prepare_from_folder, require_part
from rap_plugin.evaluation.prepared_data import content_hash, part_file, read_items, read_manifest
from rap_plugin.evaluation.scoring import score_response
from tests.evaluation.fabricate import draw, make

ROWS = {
    "mathvista": {"test": 5},
    "mathverse": dict.fromkeys(
        ["text_dominant", "text_lite", "text_only", "vision_intensive", "vision_dominant", "vision_only"], 2
    ),
    "wemath": {"test": 7},
    "mmstar": {"test": 6},
    "logicvista": {"test": 4},
    "mmvet": {"test": 3},
    "pope": {"adversarial": 4, "popular": 4, "random": 4},
    "vcr_wiki": {"en_easy": 2, "zh_hard": 2},
    "pgps9k": {"text": 2, "image": 2},
    "vstar": {"test": 3},
    "mmvp": {"test": 6},
    "cv_bench": {"2d": 3, "3d": 2},
    "scienceqa_img": {"test": 1},
    "hrbench": {"4k": 8, "8k": 8},
    "mme_realworld": {"test": 3},
    "mme_realworld_lite": {"test": 3},
}


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_every_benchmark_is_prepared_from_its_release(name: str, tmp_path: Path) -> None:
    done = prepare_from_folder(find_benchmark(name), make(name, tmp_path), tmp_path / "data")
    assert {part: facts["rows"] for part, facts in done.parts.items()} == ROWS[name]
    assert done.refused == []
    for part in done.parts:
        path = part_file(find_benchmark(name), "" if part == "test" else part, tmp_path / "data")
        items = list(read_items(path))
        assert len({item.id for item in items}) == len(items)
        assert all(item.question and item.gold for item in items)
        assert all((item.image is None) == (part == "text_only") for item in items)
        assert content_hash(path) == done.parts[part]["content_sha256"]


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_the_gold_answer_of_every_prepared_row_scores_as_right(name: str, tmp_path: Path) -> None:
    prepare_from_folder(find_benchmark(name), make(name, tmp_path), tmp_path / "data")
    for path in (tmp_path / "data" / name).glob("*.parquet"):
        for item in read_items(path, images=False):
            gold = item.gold.replace("<AND>", ", ").split("<OR>")[0]
            grade = score_response(item, f"<think>I look.</think> \\boxed{{{gold}}}")
            assert (grade.verdict, grade.score) == ("right", 1.0), (item, grade)


def test_vision_only_never_shows_the_text_of_the_problem(tmp_path: Path) -> None:
    prepare_from_folder(find_benchmark("mathverse"), make("mathverse", tmp_path), tmp_path / "data")
    for item in read_items(part_file(find_benchmark("mathverse"), "vision_only", tmp_path / "data")):
        assert "angle" not in item.question.lower()
        assert "radius" not in item.question
    choice = next(read_items(part_file(find_benchmark("mathverse"), "vision_only", tmp_path / "data")))
    assert choice.options == ("40°", "60°", "120°", "140°")


def test_a_missing_and_a_damaged_image_are_refused_by_name_and_the_rest_is_kept(tmp_path: Path) -> None:
    origin = make("logicvista", tmp_path)
    (origin / "images/v1_0.png").unlink()
    (origin / "images/v1_1.png").write_bytes(draw("cut off")[:60])
    result = CliRunner().invoke(
        cli, ["data", "prepare", "logicvista", "--from", str(origin), "--out", str(tmp_path / "data")]
    )
    assert result.exit_code == 0
    assert "logicvista/test: 2 rows (the official release has 448)" in result.output
    assert "2 rows refused" in result.output
    listed = [json.loads(line) for line in (tmp_path / "data/logicvista/refused.jsonl").read_text().splitlines()]
    assert [row["id"].rsplit(":", 1)[1] for row in listed] == ["0", "1"]
    assert "v1_0.png" in listed[0]["reason"] or "no such file" in listed[0]["reason"].lower()


def test_a_part_prepared_later_joins_the_earlier_ones(tmp_path: Path) -> None:
    origin = make("hrbench", tmp_path)
    benchmark = find_benchmark("hrbench")
    (origin / "hr_bench_8k.parquet").rename(tmp_path / "hr_bench_8k.parquet")
    prepare_from_folder(benchmark, origin, tmp_path / "data")
    (origin / "hr_bench_4k.parquet").unlink()
    (tmp_path / "hr_bench_8k.parquet").rename(origin / "hr_bench_8k.parquet")
    prepare_from_folder(benchmark, origin, tmp_path / "data")
    assert set(read_manifest(benchmark, tmp_path / "data")["parts"]) == {"4k", "8k"}


def test_a_folder_without_the_benchmark_is_one_line(tmp_path: Path) -> None:
    origin = make("vstar", tmp_path)
    with pytest.raises(RapError, match="no row of it can be used as WeMath"):
        prepare_from_folder(find_benchmark("wemath"), origin, tmp_path / "data")
    assert not list((tmp_path / "data").rglob("*.parquet*"))
    with pytest.raises(RapError, match="no such folder"):
        prepare_from_folder(find_benchmark("wemath"), tmp_path / "nowhere", tmp_path / "data")


def test_data_that_is_not_prepared_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAP_DATA_DIR", str(tmp_path))
    with pytest.raises(RapError, match="rap data prepare mmstar --from Lin-Chen/MMStar"):
        require_part(find_benchmark("mmstar"), "")
    with pytest.raises(RapError, match="you bring this data yourself"):
        require_part(find_benchmark("pgps9k"), "text")


def test_prepared_data_of_another_layout_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAP_DATA_DIR", str(tmp_path / "data"))
    prepare_from_folder(find_benchmark("vstar"), make("vstar", tmp_path), tmp_path / "data")
    path = tmp_path / "data/vstar/manifest.json"
    path.write_text(path.read_text().replace('"layout": 1', '"layout": 99'))
    with pytest.raises(RapError, match="layout 99, this version reads 1"):
        require_part(find_benchmark("vstar"), "")


def test_changed_data_is_found(tmp_path: Path) -> None:
    origin = make("vstar", tmp_path)
    prepare_from_folder(find_benchmark("vstar"), origin, tmp_path / "data")
    listing = ["data", "list", "--out", str(tmp_path / "data"), "--check"]
    assert "3 of 191 rows" in CliRunner().invoke(cli, listing).output
    other = make("vstar", tmp_path / "other")
    prepare_from_folder(find_benchmark("vstar"), other, tmp_path / "data2")
    item = part_file(find_benchmark("vstar"), "", tmp_path / "data")
    changed = item.read_bytes()
    import pyarrow.parquet as pq

    table = pq.read_table(item)
    pq.write_table(table.slice(0, 2), item)
    assert changed != item.read_bytes()
    result = CliRunner().invoke(cli, listing)
    assert isinstance(result.exception, RapError)
    assert "vstar/test" in str(result.exception)
