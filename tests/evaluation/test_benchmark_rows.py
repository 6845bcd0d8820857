"""Rows as other tables and exports write them: empty cells, lists as text, golds in other forms."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rap_plugin.evaluation.benchmarks import BENCHMARKS, Benchmark, find_benchmark
from rap_plugin.evaluation.benchmarks.base import gold_letter, letter_of, list_in, without_own_letters
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.prepare import prepare_from_folder
from rap_plugin.evaluation.prepared_data import part_file, read_items
from rap_plugin.evaluation.release import open_data_files
from rap_plugin.samples.formats.base import RowProblem
from tests.evaluation.fabricate import make, picture

NAN = math.nan
ROWS: dict[str, dict[str, Any]] = {
    "mathvista": {
        "pid": "1",
        "question": "How many?",
        "answer": "3",
        "question_type": "free_form",
        "answer_type": "integer",
        "choices": None,
        "unit": None,
        "precision": None,
        "image": b"x",
    },
    "scienceqa_img": {"id": "1", "question": "Which?", "choices": ["a", "b"], "answer": 1, "image": b"x"},
    "mmstar": {"index": 0, "question": "Which?", "A": "x", "B": "y", "C": "z", "D": "w", "answer": "B", "image": b"x"},
    "hrbench": {"index": 0, "question": "Which?", "A": "x", "B": "y", "C": "z", "D": "w", "answer": "B", "image": b"x"},
    "cv_bench": {"idx": 0, "type": "2D", "prompt": "(A) 2 (B) 1", "choices": ["2", "1"], "answer": "A", "image": b"x"},
    "mmvp": {"Index": 3, "Question": "?", "Options": "(a) Open (b) Closed", "Correct Answer": "(b)", "image": b"x"},
    "logicvista": {"id": "1", "question": "Which? Select from A-E", "answer": "E", "image": b"x"},
    "pope": {"question_id": 1, "question": "Is there a dog?", "answer": "yes", "image": b"x"},
    "mme_realworld": {
        "index": "1",
        "question": "Which?",
        "multi-choice options": ["(A) x", "(B) y", "(C) not in the image"],
        "answer": "B",
        "category": "Perception/OCR",
        "bytes": b"x",
    },
    "vcr_wiki": {"question_id": "1", "crossed_text": ["born in"], "stacked_image": b"x"},
    "wemath": {"ID": "3", "key": "2steps_1", "question": "?", "option": "A. 1; B. 2", "answer": "B", "image": b"x"},
    "mathverse": {
        "sample_index": "1",
        "question": "Find x.\nChoices:\nA:1\nB:2",
        "answer": "B",
        "question_type": "multi-choice",
        "image": b"x",
    },
}


def item(name: str, **changes: Any) -> BenchmarkItem:
    part = {"mathverse": "text_lite"}.get(name, "")
    return find_benchmark(name).read({**ROWS[name], **changes}, part)


@pytest.mark.parametrize(
    "changes", [{"precision": NAN}, {"unit": NAN}, {"choices": NAN}, {"precision": "None"}, {"choices": ""}]
)
def test_a_cell_that_is_no_number_is_an_empty_one(changes: Mapping[str, Any]) -> None:
    assert item("mathvista", **changes) == item("mathvista")


def test_an_empty_cell_is_no_option_no_hint_no_group_and_no_image() -> None:
    assert item("mmstar", C=NAN, D=NAN).options == ("x", "y")
    assert item("hrbench", D=NAN).options == ("x", "y", "z")
    assert item("scienceqa_img", hint=NAN) == item("scienceqa_img")
    assert item("cv_bench", source=NAN).groups == {}
    for name, column in (
        ("mathvista", "image"),
        ("mmstar", "answer"),
        ("mathverse", "answer"),
        ("mathvista", "answer"),
    ):
        with pytest.raises(RowProblem, match=r"no image|no column"):
            item(name, **{column: NAN})


def test_a_precision_that_is_none_refuses_its_row_and_no_other() -> None:
    for precision in ("abc", "-1", 1e308):
        with pytest.raises(RowProblem, match="no integer from 0 to 20"):
            item("mathvista", answer_type="float", answer="2.5", precision=precision)
    for precision in (1, 1.0, "1", "1.0", None, NAN):
        assert item("mathvista", answer_type="float", answer="2.5", precision=precision).precision == 1


def test_damaged_cells_never_stop_the_preparation(tmp_path: Path) -> None:
    rows = [
        {**ROWS["mathvista"], "pid": str(i), "image": picture("x"), "precision": precision, "answer_type": "float"}
        for i, precision in enumerate(["1.0", "abc", "nan", "2"])
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "testmini.parquet")
    done = prepare_from_folder(find_benchmark("mathvista"), tmp_path, tmp_path / "data")
    assert done.parts["test"]["rows"] == 3
    assert [row["reason"] for row in done.refused] == ["column 'precision' holds 'abc', no integer from 0 to 20"]


def saved_again(origin: Path, target: Path, benchmark: Benchmark, ending: str) -> None:
    """A release as a table library writes it: lists as text, integers as floats, images in base 64 or beside it."""
    pandas = pytest.importorskip("pandas", reason="pandas comes with VLMEvalKit")
    for image in [path for path in origin.rglob("*") if path.suffix in (".png", ".jpg")]:
        place = target / image.relative_to(origin)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(image.read_bytes())
    for where, pool in open_data_files(benchmark, origin):
        rows = [{name: in_text(value) for name, value in row.items()} for row in pool.rows(list(range(len(pool))))]
        table = pandas.DataFrame(rows)
        whole = [name for name in table.columns if pandas.api.types.is_integer_dtype(table[name])]
        if ending != ".csv":
            table[whole] = table[whole].astype(float)
        path = (target / where.partition("/")[2]).with_suffix(ending)
        path.parent.mkdir(parents=True, exist_ok=True)
        if ending == ".parquet":
            table.to_parquet(path)
        elif ending == ".csv":
            table.to_csv(path, index=False)
        else:
            path.write_text("\n".join(json.dumps(row) for row in table.to_dict("records")))


def in_text(value: Any) -> Any:
    value = value["bytes"] if isinstance(value, dict) and "bytes" in value else value
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_a_release_that_a_table_library_saved_again_gives_the_same_problems(
    name: str, ending: str, tmp_path: Path
) -> None:
    benchmark = find_benchmark(name)
    origin = make(name, tmp_path / "release")
    saved_again(origin, tmp_path / "again" / origin.name, benchmark, ending)
    prepare_from_folder(benchmark, origin, tmp_path / "data")
    done = prepare_from_folder(benchmark, tmp_path / "again" / origin.name, tmp_path / "data again")
    assert done.refused == []
    for part in benchmark.parts:
        path = part_file(benchmark, part.name, tmp_path / "data")
        if path.is_file():
            again = part_file(benchmark, part.name, tmp_path / "data again")
            assert list(read_items(again, images=False)) == list(read_items(path, images=False))


def test_whole_floats_are_integers_in_golds_and_numbers_of_rows() -> None:
    assert item("mathvista", answer=3.0).gold == "3"
    assert item("mathvista", answer="3.0").gold == "3"
    assert item("mathvista", answer="3.0", answer_type="float").gold == "3.0"
    assert item("logicvista", answer=14.0).gold == "14"
    assert (item("mmvp", Index=3.0).id, item("mmvp", Index="3.0").groups) == ("3", {"pair": "1"})
    assert item("scienceqa_img", answer=1.0) == item("scienceqa_img", answer="1") == item("scienceqa_img")


def test_a_gold_that_no_number_can_meet_is_read_as_mathematics() -> None:
    assert [item("mathvista", answer=gold).kind for gold in ("12", "1,200", "45%", "-3")] == ["number"] * 4
    assert [item("mathvista", answer=gold).kind for gold in ("1/2", "12 cm", "three")] == ["maths"] * 3
    for gold in ("nan", "None", ""):
        with pytest.raises(RowProblem, match="empty"):
            item("mathvista", answer=gold)


def test_a_list_that_stands_there_as_text_is_a_list() -> None:
    choice = {"question_type": "multi_choice", "answer_type": "text", "answer": "4 cm"}
    for choices in (["3 cm", "4 cm"], "['3 cm', '4 cm']", '["3 cm", "4 cm"]', ["3 cm", "4 cm", None]):
        assert (item("mathvista", **choice, choices=choices).options, item("mathvista", **choice, choices=choices).gold) == (
            ("3 cm", "4 cm"),
            "B",
        )  # fmt: skip
    assert item("scienceqa_img", choices="['a', 'b']") == item("scienceqa_img")
    assert item("mme_realworld", **{"multi-choice options": "['(A) x', '(B) y']"}).options == ("x", "y")
    assert item("vcr_wiki", crossed_text="['born in', 'the town']").gold == "born in\nthe town"
    assert item("vcr_wiki", crossed_text=[None, "born in", None]).gold == "born in"


def test_a_printed_array_is_no_list_since_its_entries_would_become_one() -> None:
    for text in ("['a' 'b']", "[1 2]", "a, b", "(1, 2)", "[" * 3000, "[print(1)]"):
        assert list(list_in(text)) == []
    with pytest.raises(RowProblem, match="holds no list"):
        item("scienceqa_img", choices="['a' 'b']")


def test_a_problem_of_another_split_is_no_part_of_the_test() -> None:
    parts = find_benchmark("scienceqa_img").parts_of
    assert [parts({**ROWS["scienceqa_img"], "split": split}, "") for split in ("test", "", "train", "val")] == [
        ("",), ("",), (), (),
    ]  # fmt: skip
    assert parts({**ROWS["scienceqa_img"], "image": NAN}, "") == ()


def test_a_part_is_named_by_the_file_before_the_folders_above_it() -> None:
    row = {**ROWS["pope"], "category": None}
    assert find_benchmark("pope").parts_of(row, "random_copy/coco_pope_popular.json") == ("popular",)
    assert find_benchmark("pope").parts_of({**row, "category": "adversarial"}, "random.json") == ("adversarial",)
    assert find_benchmark("hrbench").parts_of({}, "HR-Bench 4K and 8K/hr_bench_8k.tsv") == ("8k",)
    assert find_benchmark("vcr_wiki").parts_of({}, "vcr-org/VCR-wiki-en-easy-test/data/test.parquet") == ("en_easy",)
    assert find_benchmark("hrbench").parts_of({}, "data/test.parquet") == ()


def test_a_level_that_no_category_names_is_none() -> None:
    assert item("mme_realworld").groups["level"] == "perception"
    assert "level" not in item("mme_realworld", category=None).groups


def test_the_kind_of_question_is_known_in_every_spelling() -> None:
    for kind in ("multi_choice", "multi-choice", "multi choice"):
        found = item("mathvista", question_type=kind, choices=["3", "4"], answer="4")
        assert (found.kind, found.gold) == ("choice", "B")
        assert item("mathverse", question_type=kind).kind == "choice"


@pytest.mark.parametrize(
    ("gold", "letters"),
    [
        ("B and D", "BD"), ("b, d", "BD"), ("BD", "BD"), ("B/D", "BD"), ("B & D", "BD"), ("A、C", "AC"), ("['A', 'C']", "AC"),
        ("（B）", "B"), ("B:", "B"), ("Option B", "B"), ("**B**", "B"), ("\\boxed{B}", "B"), ("$B$", "B"), ("D, B", "BD"),
    ],
)  # fmt: skip
def test_option_letters_are_read_in_the_forms_of_golds(gold: str, letters: str) -> None:
    assert letter_of(gold, 4) == letters


@pytest.mark.parametrize(
    "gold", ["E", "A or B", "A-D", "bad", "DAD", "AND", "and", "", "K", "B. 12 cm", "BE", "none", "A" * 300]
)
def test_what_is_no_letter_of_an_option_is_refused(gold: str) -> None:
    with pytest.raises(RowProblem):
        letter_of(gold, 4)


def test_a_gold_can_be_the_text_of_an_option_with_its_letter_or_without() -> None:
    assert gold_letter("B. 12 cm", ("10 cm", "12 cm")) == "B"
    assert gold_letter("(B) 12 cm", ("10 cm", "12 cm")) == "B"
    assert gold_letter("BC", ("AB", "BC", "CD")) == "B"
    assert gold_letter("AC", ("red", "blue", "green")) == "AC"
    assert gold_letter("1", ("2", "1")) == "B"
    for gold, options in (("B. 10 cm", ("10 cm", "12 cm")), ("AC", ("AB", "BC", "CD")), ("C", ("1", "2"))):
        with pytest.raises(RowProblem):
            gold_letter(gold, options)
    assert item("cv_bench", answer="1").gold == "B"
    assert item("mmstar", answer="y").gold == item("hrbench", answer="B. y").gold == "B"
    assert item("mmvp", **{"Correct Answer": "Closed"}).gold == "B"
    assert item("logicvista", answer=["B", "D"]).gold == item("logicvista", answer="BD").gold == "BD"
    assert [item("pope", answer=gold).gold for gold in (True, False, "Yes.")] == ["yes", "no", "yes"]


def test_options_lose_their_own_letters_only_where_every_one_has_its_own() -> None:
    assert without_own_letters(("(A) red", "(B) blue")) == ("red", "blue")
    assert without_own_letters(("A. red", "B. blue")) == ("red", "blue")
    for options in (("A. red", "blue"), ("A.M.", "P.M."), ("A.D.", "B.C."), ("see (A)", "see (B)"), ("A", "B"), ()):
        assert without_own_letters(options) == options
