"""Preparing benchmarks from folders laid out as their releases are."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.errors import RapError
from rap_plugin.evaluation import release
from rap_plugin.evaluation.benchmarks import BENCHMARKS, find_benchmark
from rap_plugin.evaluation.benchmarks.base import gold_letter, split_options
from rap_plugin.evaluation.benchmarks.pope import SETTINGS
from rap_plugin.evaluation.measures import record_of
from rap_plugin.evaluation.measures import wemath as wemath_measures
from rap_plugin.evaluation.prepare import first_on_hub, prepare_from_folder, require_part
from rap_plugin.evaluation.prepared_data import content_hash, part_file, read_items, read_manifest
from rap_plugin.evaluation.scoring import score_response
from rap_plugin.samples.formats.base import RowProblem
from tests.evaluation.fabricate import draw, make, wemath
from tests.evaluation.owners import OWNERS

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


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("pope", {"adversarial": 2, "popular": 2, "random": 2}),
        ("mmvet", {"test": 3}),
        ("mme_realworld", {"test": 2}),
        ("mathverse", ROWS["mathverse"]),
    ],
)
def test_a_release_is_read_as_its_owners_publish_it(name: str, rows: dict[str, int], tmp_path: Path) -> None:
    OWNERS[name](tmp_path)
    origin = tmp_path / "mm-vet.zip" if name == "mmvet" else tmp_path
    done = prepare_from_folder(find_benchmark(name), origin, tmp_path / "data")
    assert done.refused == []
    assert {part: facts["rows"] for part, facts in done.parts.items()} == rows
    part = next(iter(rows))
    item = next(read_items(part_file(find_benchmark(name), "" if part == "test" else part, tmp_path / "data")))
    assert item.image
    expected = {
        "pope": ("Is there a person in the image?", "yes", {}),
        "mmvet": ("What is x?", "-1<AND>-5", {"capability": "ocr|math"}),
        "mme_realworld": ("What is the colour of the car?", "C", {"level": "perception", "domain": "Autonomous_Driving", "task": "Attribute"}),
        "mathverse": ("Angle A is 80.0", "D", {"problem": "1", "subject": "Plane Geometry", "subfield": "Angle", "question_type": "multi-choice"}),
    }  # fmt: skip
    question, gold, groups = expected[name]
    assert item.question.startswith(question)
    assert (item.gold, item.groups) == (gold, groups)


def test_an_image_name_that_two_files_have_is_refused(tmp_path: Path) -> None:
    OWNERS["pope"](tmp_path)
    (tmp_path / "train2014").mkdir()
    (tmp_path / "train2014/COCO_val2014_000000000001.jpg").write_bytes(draw("1"))
    done = prepare_from_folder(find_benchmark("pope"), tmp_path, tmp_path / "data")
    assert {part: facts["rows"] for part, facts in done.parts.items()} == dict.fromkeys(SETTINGS, 1)
    assert "2 files are named 'COCO_val2014_000000000001.jpg'" in done.refused[0]["reason"]


def test_an_archive_that_is_no_release_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(RapError, match=r"cut\.zip: cannot be unpacked"):
        prepare_from_folder(find_benchmark("mmvet"), tmp_path / "cut.zip", tmp_path / "data")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mm-vet.json", b"0" * (2 << 20))
    monkeypatch.setattr(release, "MIN_UNPACKED_LIMIT", 1 << 20)
    with pytest.raises(RapError, match="GB unpacked; unpack it yourself"):
        prepare_from_folder(find_benchmark("mmvet"), tmp_path / "bomb.zip", tmp_path / "data")


def test_options_of_wemath_are_split_whatever_their_marks() -> None:
    for listing in (
        "A. 60; B. 120; C. 30; D. 1; E. No correct answer",
        "A．60；B．120；C．30；D．1；E．No correct answer",
        "A. 60; B. 120; C. 30;D.1; E. No correct answer",
        "A、60；B、120；C、30；D.1 ；E. No correct answer",
        "A.60 B.120 C.30 D.1 E.No correct answer",
        "(A) 60\n(B) 120\n(C) 30\n(D) 1\n(E) No correct answer",
    ):
        assert split_options(listing) == ("60", "120", "30", "1", "No correct answer"), listing
    assert split_options("A. The line AB. C; B. Point B") == ("The line AB. C", "Point B")
    assert split_options("60; 120") == ()


def test_wemath_with_full_width_separators_keeps_its_official_measures(tmp_path: Path) -> None:
    wemath(tmp_path / "plain")
    path = tmp_path / "plain/data/testmini-00000-of-00001.parquet"
    table = pq.read_table(path)
    listings = [
        "A．12 cm；B．16 cm；C．18 cm；D．20 cm；E．No correct answer",
        "A. 12; B. 16; C. 18;D.1; E. No correct answer",
    ]
    changed = pa.array([listings[i % 2] for i in range(len(table))])
    pq.write_table(table.set_column(table.schema.get_field_index("option"), "option", changed), path)
    done = prepare_from_folder(find_benchmark("wemath"), tmp_path / "plain", tmp_path / "data")
    assert (done.parts["test"]["rows"], done.refused) == (7, [])
    items = list(read_items(part_file(find_benchmark("wemath"), "", tmp_path / "data"), images=False))
    found = wemath_measures([record_of(item, [score_response(item, item.gold)]) for item in items])
    assert found is not None
    assert found["score_strict"] == 1.0


def test_a_gold_that_is_the_text_of_an_option_becomes_its_letter() -> None:
    assert gold_letter("60°", ("40°", "60°", "120°", "140°")) == "B"
    assert gold_letter("(b)", ("40°", "60°")) == "B"
    for gold in ("50°", "C", ""):
        with pytest.raises(RowProblem):
            gold_letter(gold, ("40°", "60°"))


def test_a_repository_that_moved_is_found_under_its_other_name() -> None:
    for name in ("pope", "scienceqa_img", "mmvet", "vstar"):
        first, other = find_benchmark(name).sources[0].names
        assert (first.split("/")[0], other) == ("lmms-lab", first.replace("lmms-lab/", "lmms-lab-encoder/"))
    has = {"lmms-lab-encoder/POPE": "abc"}
    names = find_benchmark("pope").sources[0].names
    assert first_on_hub(names, has.__getitem__) == ("lmms-lab-encoder/POPE", "abc")
    with pytest.raises(RapError, match="lmms-lab/POPE: the hub did not give it"):
        first_on_hub(names, {}.__getitem__)


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
