"""TSV files and scoring, without VLMEvalKit."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path

import pytest

from rap_plugin.errors import RapError
from rap_plugin.evaluation.benchmarks import BENCHMARKS, find_benchmark
from rap_plugin.evaluation.predictions import read_predictions
from rap_plugin.evaluation.prepared_data import part_file, read_items
from rap_plugin.evaluation.shown_answers import read_answers
from rap_plugin.evaluation.task_names import DATASETS
from rap_plugin.vlmeval_datasets.score import score_file
from rap_plugin.vlmeval_datasets.tsv import write_tsv
from tests.evaluation.judge_server import Server

pandas = pytest.importorskip("pandas", reason="pandas comes with VLMEvalKit")


@pytest.fixture
def prepared(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAP_DATA_DIR", str(data_folder))
    monkeypatch.delenv("RAP_JUDGE", raising=False)
    return data_folder


def test_every_part_of_every_benchmark_is_a_data_set() -> None:
    parts = {(name, part) for name, part, blind in DATASETS.values() if not blind}
    assert parts == {(benchmark.name, part.name) for benchmark in BENCHMARKS.values() for part in benchmark.parts}
    assert all(name.startswith("RAP_") for name in DATASETS)
    assert DATASETS["RAP_MathVerse_vision_only_blind"] == ("mathverse", "vision_only", True)


def test_the_tsv_holds_the_prepared_rows_with_their_images(prepared: Path, tmp_path: Path) -> None:
    table = pandas.read_csv(write_tsv("RAP_MMStar", tmp_path), sep="\t", dtype=str, keep_default_na=False)
    items = list(read_items(part_file(find_benchmark("mmstar"), "", prepared)))
    assert list(table["index"]) == [str(i) for i in range(len(items))]
    assert list(table["question"]) == [item.question for item in items]
    assert [base64.b64decode(text) for text in table["image"]] == [item.image for item in items]


def test_rows_without_an_image_and_blind_data_sets_keep_their_rows(prepared: Path, tmp_path: Path) -> None:
    for name, rows in (("RAP_MathVerse_text_only", 2), ("RAP_MMStar_blind", 6)):
        table = pandas.read_csv(write_tsv(name, tmp_path), sep="\t", dtype=str, keep_default_na=False)
        assert len(table) == rows
        assert set(table["image"]) == {""}


def test_the_tsv_is_written_again_only_when_the_data_changed(prepared: Path, tmp_path: Path) -> None:
    path = write_tsv("RAP_MMStar", tmp_path)
    first = path.stat().st_mtime_ns
    assert write_tsv("RAP_MMStar", tmp_path).stat().st_mtime_ns == first
    note = tmp_path / "RAP_MMStar.made_from.json"
    note.write_text(note.read_text().replace('"content_sha256": "', '"content_sha256": "0'))
    assert write_tsv("RAP_MMStar", tmp_path).stat().st_mtime_ns > first


def predictions(path: Path, texts: list[str]) -> Path:
    table = pandas.DataFrame({"index": range(len(texts)), "question": "q", "prediction": texts})
    if path.suffix == ".xlsx":
        table.to_excel(path, index=False)
    elif path.suffix == ".tsv":
        table.to_csv(path, sep="\t", index=False)
    else:
        path.write_text(json.dumps(table.to_dict(orient="records")))
    return path


@pytest.mark.parametrize("ending", [".tsv", ".xlsx", ".json"])
def test_a_response_that_looks_like_a_number_or_nothing_stays_a_text(ending: str, tmp_path: Path) -> None:
    texts = ["42", "None", "NA", "", "1e5", "True", "a\nb"]
    assert read_predictions(predictions(tmp_path / f"m_D{ending}", texts)) == list(enumerate(texts))


@pytest.mark.parametrize("threads", [1, 4, 16])
def test_predictions_score_the_same_with_any_number_of_threads(prepared: Path, tmp_path: Path, threads: int) -> None:
    texts = ["\\boxed{B}", "7", "<answer>1.2</answer>", "The mean is 3.1", "\\boxed{[2014, 2016]}"]
    path = predictions(tmp_path / "m_RAP_MathVista.tsv", texts)
    found = score_file("RAP_MathVista", path, {"nproc": threads, "model": "gpt-4o-mini"})
    assert found["accuracy"] == 80.0
    assert found["judged"] == 0.0
    held = json.loads((tmp_path / "m_RAP_MathVista_rap_scores.json").read_text())
    assert [record["score"] for record in held["records"]] == [1.0, 1.0, 1.0, 0.0, 1.0]
    assert held["facts"]["judge"] == "none"
    assert len(held["facts"]["content_sha256"]) == 64


def test_rap_eval_read_shows_predictions_with_their_scores_from_either_file(prepared: Path, tmp_path: Path) -> None:
    path = predictions(tmp_path / "m_RAP_MMVP.tsv", ["\\boxed{A}", "The answer is (b).", "", "B", "(a)", "(b)"])
    score_file("RAP_MMVP", path, {})
    shown = list(read_answers(path))
    assert [one.response for one in shown][:3] == ["\\boxed{A}", "The answer is (b).", ""]
    assert [one.record["said"] for one in shown] == ["A", "B", "", "B", "A", "B"]
    assert list(read_answers(tmp_path / "m_RAP_MMVP_rap_scores.json")) == shown


def test_a_failed_response_is_unread_and_the_headline_comes_first(prepared: Path, tmp_path: Path) -> None:
    texts = ["\\boxed{A}", "\\boxed{B}", "Failed to obtain answer via API.", "B", "(a)", "(b)"]
    found = score_file("RAP_MMVP", predictions(tmp_path / "m_RAP_MMVP.tsv", texts), {})
    assert next(iter(found)) == "pair_accuracy"
    assert found["pair_accuracy"] == pytest.approx(200 / 3)
    assert found["unread"] == pytest.approx(100 / 6)


def test_a_judge_on_the_command_line_gets_what_rules_could_not_read_and_nothing_else(
    prepared: Path, tmp_path: Path
) -> None:
    texts = ["\\boxed{A}", "I cannot tell them apart.", "It is A or B.", "B", "", "The answer is (b)."]
    server = Server()
    try:
        found = score_file(
            "RAP_MMVP",
            predictions(tmp_path / "m_RAP_MMVP.tsv", texts),
            {"model": "small-judge", "api_base": f"{server.url}/chat/completions"},
        )
    finally:
        server.close()
    assert found["judged"] == pytest.approx(200 / 6)
    asked = sorted(text for text in texts for prompt in server.asked if text and json.dumps(text) in prompt)
    assert asked == ["I cannot tell them apart.", "It is A or B."]


def test_predictions_of_other_data_are_refused(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(RapError, match="index 6 is not in RAP_MMVP, which has 6 rows"):
        score_file("RAP_MMVP", predictions(tmp_path / "m_RAP_MMVP.tsv", ["A"] * 7), {})
    (tmp_path / "m_RAP_MMVP.tsv").write_text("no table")
    with pytest.raises(RapError, match="no predictions can be read"):
        score_file("RAP_MMVP", tmp_path / "m_RAP_MMVP.tsv", {})


def test_a_row_that_names_another_problem_than_its_index_is_one_of_other_data(prepared: Path, tmp_path: Path) -> None:
    ids = [item.id for item in read_items(part_file(find_benchmark("mmvp"), "", prepared))]
    table = {"index": range(6), "id": ids, "prediction": ["A", "B", "A", "B", "A", "B"]}
    path = tmp_path / "m_RAP_MMVP.tsv"
    pandas.DataFrame(table).to_csv(path, sep="\t", index=False)
    score_file("RAP_MMVP", path, {})
    # A spreadsheet or a JSON file may have made floats of them, or lost one.
    pandas.DataFrame({**table, "id": [*map(float, ids[:5]), math.nan]}).to_csv(path, sep="\t", index=False)
    score_file("RAP_MMVP", path, {})
    pandas.DataFrame({**table, "id": [*ids[1:], ids[0]]}).to_csv(path, sep="\t", index=False)
    with pytest.raises(
        RapError, match="row 0 answers problem '2', which is '1' in RAP_MMVP; predictions of other data"
    ):
        score_file("RAP_MMVP", path, {})


@pytest.mark.parametrize("ending", [".tsv", ".json"])
def test_the_golds_of_every_data_set_score_as_right_after_its_way_through_tables(
    prepared: Path, tmp_path: Path, ending: str
) -> None:
    for name, (benchmark, part, blind) in DATASETS.items():
        if blind or not part_file(find_benchmark(benchmark), part, prepared).is_file():
            continue
        # As VLMEvalKit does: read without types, rows kept with a response beside them.
        table = pandas.read_csv(write_tsv(name, tmp_path), sep="\t").drop(columns="image")
        golds = [str(gold).replace("<AND>", ", ").split("<OR>")[0] for gold in table["answer"]]
        table["prediction"] = [f"\\boxed{{{gold}}}" for gold in golds]
        path = tmp_path / f"m_{name}{ending}"
        if ending == ".json":
            table.to_json(path, orient="records")
        else:
            table.to_csv(path, sep="\t", index=False)
        assert score_file(name, path, {})["accuracy"] == 100.0, name


def test_rows_without_an_index_and_repeated_rows_are_told_and_the_others_scored(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"index": 0.0, "prediction": "B"},
        {"index": "1.0", "prediction": None},
        {"index": None, "prediction": "A"},
        {"prediction": "A"},
        {"index": 0, "prediction": "\\boxed{A}"},
        {"index": 2, "prediction": ["A"]},
    ]
    path = tmp_path / "m_RAP_MMVP.json"
    path.write_text(json.dumps(rows))
    found = score_file("RAP_MMVP", path, {})
    assert found["accuracy"] == pytest.approx(200 / 3)
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == [
        "rap: RAP_MMVP: 2 rows have no index: left out",
        "rap: RAP_MMVP: 1 rows repeat an index: the last one counts",
    ]
    shown = list(read_answers(path))
    assert [one.response for one in shown] == ["\\boxed{A}", "", "A"]
    assert [one.record["said"] for one in shown] == ["A", "", "A"]


def test_accuracy_over_a_part_of_the_rows_is_told(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    score_file("RAP_MMStar", predictions(tmp_path / "m_RAP_MMStar.tsv", ["B"] * 5), {})
    assert capsys.readouterr().err == "rap: RAP_MMStar: 5 of 6 rows were answered: accuracy is over those alone\n"


def test_a_number_beside_an_empty_cell_keeps_its_form_in_json(tmp_path: Path) -> None:
    path = tmp_path / "m_D.json"
    path.write_text(json.dumps([{"index": 0, "prediction": 42}, {"index": 1, "prediction": None}, {"index": 2}]))
    assert read_predictions(path) == [(0, "42"), (1, ""), (2, "")]
    path.write_text(json.dumps({"index": {"0": 0, "1": 1}, "prediction": {"0": "A", "1": 2.5}}))
    assert read_predictions(path) == [(0, "A"), (1, "2.5")]


def test_a_response_that_a_spreadsheet_took_for_a_formula_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = predictions(tmp_path / "m_D.xlsx", ["=B", "=1+1", "= 4 cm", "5"])
    assert [text for _, text in read_predictions(path)] == ["=B", "=1+1", "= 4 cm", "5"]
    path.write_bytes(b"no spreadsheet")
    with pytest.raises(RapError, match="no predictions can be read"):
        read_predictions(path)


@pytest.mark.parametrize(
    "content", ["[]", "5", "null", '["a"]', '{"index": [0]}', '[{"index": null, "prediction": "A"}]']
)
def test_a_json_file_without_predictions_is_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "m_D.json").write_text(content)
    with pytest.raises(RapError, match="is it a file of `rap-vlmeval`"):
        read_predictions(tmp_path / "m_D.json")


def test_an_unreachable_judge_is_one_line_and_the_predictions_stay(prepared: Path, tmp_path: Path) -> None:
    path = predictions(tmp_path / "m_RAP_MMVet.tsv", ["a", "b", "c"])
    before = path.read_bytes()
    with pytest.raises(RapError, match="cannot be reached") as raised:
        score_file("RAP_MMVet", path, {"model": "m", "api_base": "http://127.0.0.1:9/v1/chat/completions"})
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before


def test_a_limit_that_breaks_the_sets_of_wemath_is_told_with_what_the_primary_metric_becomes(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = score_file("RAP_WeMath", predictions(tmp_path / "m_RAP_WeMath.tsv", ["D"] * 2), {})
    assert next(iter(found)) == "accuracy"
    line = "2 of 7 rows were answered, which leaves no whole set for score_strict: the primary metric here is accuracy"
    assert capsys.readouterr().err == f"rap: RAP_WeMath: {line}\n"
    found = score_file("RAP_WeMath", predictions(tmp_path / "m_RAP_WeMath.tsv", ["D"] * 4), {})
    assert next(iter(found)) == "score_strict"
    assert "score_strict is over the whole sets among them" in capsys.readouterr().err
    score_file("RAP_WeMath", predictions(tmp_path / "m_RAP_WeMath.tsv", ["D"] * 7), {})
    assert capsys.readouterr().err == ""


def test_a_rule_that_fails_is_counted_at_the_end_and_the_scores_are_written(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no such unit as 'per minute'")

    monkeypatch.setattr("rap_plugin.evaluation.scoring.read_option", broken)
    found = score_file("RAP_MMStar", predictions(tmp_path / "m_RAP_MMStar.tsv", ["B"] * 6), {})
    assert found["unread"] == 100.0
    assert "rap: RAP_MMStar: a reading rule failed on 6 responses" in capsys.readouterr().err
    records = json.loads((tmp_path / "m_RAP_MMStar_rap_scores.json").read_text())["records"]
    assert {record["outcome"] for record in records} == {"unread"}
