"""`rap eval read`: what was read in each answer, by which rule, in its context."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.errors import RapError
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.measures import record_of
from rap_plugin.evaluation.scoring import score_response
from rap_plugin.evaluation.shown_answers import ShownAnswer, item_of_row, read_answers
from tests.evaluation.judge_server import Server

GLOVE = BenchmarkItem("7", "Which?\n(A) rubber\n(B) kevlar", "B", "choice", ("rubber", "kevlar"))
RESPONSES = ("It is woven.\nThe answer is (B).", "I am sorry, I see no glove.", "\\boxed{A}")


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(["not JSON", "[]", *map(json.dumps, rows)]))
    return path


def run(*arguments: str) -> list[str]:
    done = CliRunner().invoke(cli, ["eval", "read", *arguments])
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def test_plain_json_lines_are_scored_and_shown_with_what_decided(tmp_path: Path) -> None:
    rows = [
        {"id": i, "question": GLOVE.question, "answer": "kevlar", "response": text} for i, text in enumerate(RESPONSES)
    ]
    output = run(str(lines(tmp_path / "a.jsonl", rows)))
    assert output[0].startswith("0  right  gold 'B'  read 'B'")
    assert "The answer is" in output[1]
    assert output[2].startswith("1  unread  gold 'B'  unread")
    assert output[4].startswith("2  wrong  gold 'B'  read 'A'")
    assert output[-1] == "3 answers: 2 read, 1 unread, 0 contradictory"


def test_an_outcome_and_a_limit_choose_what_is_printed_and_all_are_counted(tmp_path: Path) -> None:
    rows = [{"question": GLOVE.question, "answer": "B", "response": text} for text in RESPONSES * 5]
    path = str(lines(tmp_path / "a.jsonl", rows))
    assert [line[:12] for line in run(path, "--outcome", "unread", "--limit", "2")][:4:2] == [
        "4  unread  g",
        "7  unread  g",
    ]
    assert len(run(path, "--outcome", "unread", "--limit", "2")) == 5
    assert run(path, "--outcome", "contradictory") == ["15 answers: 10 read, 5 unread, 0 contradictory"]


def test_samples_of_lmms_eval_show_the_record_that_they_hold(tmp_path: Path) -> None:
    rows = []
    for response in RESPONSES:
        record = record_of(GLOVE, [score_response(GLOVE, response)])
        rows.append({"doc_id": 0, "filtered_resps": [response], "accuracy": {**record, "said": record["said"] + "!"}})
    shown = list(read_answers(lines(tmp_path / "x_samples_rap_vstar.jsonl", rows)))
    assert [one.response for one in shown] == list(RESPONSES)
    assert [one.record["said"] for one in shown] == ["B!", "!", "A!"]
    assert [one.outcome for one in shown] == ["read", "unread", "read"]


def test_a_record_that_lacks_something_stops_nothing_and_a_mark_before_the_first_line_hides_none(
    tmp_path: Path,
) -> None:
    whole = record_of(GLOVE, [score_response(GLOVE, "B")])
    damage: list[dict[str, Any]] = [
        {"span": ["a"]},
        {"span": [1]},
        {"said": None},
        {"gold": None},
        {"reason": None},
        {"groups": None},
    ]
    rows = [{"resps": [["B"]], "accuracy": {**whole, **one}} for one in damage]
    rows += [
        {"resps": [["B"]], "accuracy": one}
        for one in ({"status": "right"}, {"id": "1", "status": 3, "score": "x"}, 1.0)
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8-sig")
    assert run(str(path))[-1] == "6 answers: 6 read, 0 unread, 0 contradictory"
    path.write_text("[" * 100_000 + "\n" + json.dumps({"answer": "B", "response": "B"}))
    assert run(str(path))[-1] == "1 answers: 1 read, 0 unread, 0 contradictory"


@pytest.mark.parametrize(
    ("row", "kind", "gold"),
    [
        ({"question": "Is it?", "answer": "Yes"}, "yes_no", "yes"),
        ({"question": "Which? (A) Yes (B) No", "answer": "No"}, "choice", "B"),
        ({"question": "Which?", "answer": "red", "options": ["blue", "red"]}, "choice", "B"),
        ({"question": "What is the area?", "answer": "9\\pi"}, "maths", "9\\pi"),
        ({"question": "What is the area?", "gold": 9}, "maths", "9"),
        ({"question": "Which? (A) x (B) y"}, "choice", ""),
        ({"question": "What does it say?", "answer": "stop<OR>halt", "kind": "wanted"}, "wanted", "stop<OR>halt"),
    ],
)
def test_a_line_of_json_is_of_the_kind_that_its_gold_and_options_ask_for(
    row: dict[str, Any], kind: str, gold: str
) -> None:
    item = item_of_row(row, "1")
    assert (item.kind, item.gold) == (kind, gold)


ASKED = "Which? (A) red (B) blue (C) green (D) 3 cm"


@pytest.mark.parametrize(
    ("row", "response"),
    [
        ({"question": ASKED, "answer": "b", "kind": "choice"}, "B"),
        ({"question": ASKED, "answer": "(B)", "kind": "Choice"}, "blue"),
        ({"question": ASKED, "answer": "blue", "kind": "choice"}, "(B)"),
        ({"question": ASKED, "answer": "B. blue"}, "B"),
        ({"question": ASKED, "answer": "Option B"}, "B"),
        ({"question": ASKED, "answer": ["B", "D"]}, "B, D"),
        ({"question": ASKED, "answer": "['B', 'D']"}, "B and D"),
        ({"question": ASKED, "answer": "BD"}, "D, B"),
        ({"question": "Which?", "answer": "B", "options": {"A": "red", "B": "blue"}}, "blue"),
        ({"question": "Which?", "answer": "B", "options": "['red', 'blue']"}, "blue"),
        ({"question": "Which?", "answer": "B", "options": ["A. red", "B. blue"]}, "blue"),
        ({"question": "Which?", "answer": "B", "options": ["red", "blue", None, math.nan]}, "blue"),
        ({"question": "Which?", "answer": "B", "A": "red", "B": "blue", "C": math.nan}, "blue"),
        ({"question": "Which?", "answer": 4.0, "options": ["3", "4"]}, "B"),
        ({"question": "Is there a dog?", "answer": "Yes", "kind": "yes_no"}, "yes"),
        ({"question": "Is there a dog?", "answer": True}, "Yes."),
        ({"question": "How many?", "answer": 0}, "0"),
        ({"question": "How many?", "answer": 0.0}, "There are 0."),
        ({"question": "How many?", "answer": None, "gold": 3.0}, "3"),
        ({"question": "How long?", "answer": "1/2", "kind": "number"}, "1/2"),
        ({"question": "How long?", "answer": "2", "kind": "number", "precision": math.nan}, "2"),
        ({"question": "How long?", "answer": 2.5, "kind": "number", "precision": "1.0"}, "2.46"),
        ({"question": "Which are missing?", "answer": [3, 4]}, "[3, 4]"),
        ({"question": "How many?", "answer": 5}, 5),
        ({"question": "How many?", "answer": 5}, 5.0),
        ({"question": "How many?", "answer": 5}, ["5"]),
        ({"question": "Which segment is longest?", "answer": "AB"}, "AB"),
        ({"id": math.nan, "question": None, "answer": "1"}, "1"),
    ],
)
def test_golds_options_and_responses_are_read_in_every_form_that_files_give_them(
    row: dict[str, Any], response: Any, tmp_path: Path
) -> None:
    for name in ("response", "prediction"):
        (shown,) = read_answers(lines(tmp_path / "a.jsonl", [{**row, name: response}]))
        assert shown.record["status"] == "right", shown.record
    (shown,) = read_answers(lines(tmp_path / "a.jsonl", [{**row, "response": "I cannot tell."}]))
    assert shown.record["status"] == "unread"


@pytest.mark.parametrize(
    ("row", "status"),
    [
        ({"answer": 0, "response": "5"}, "wrong"),
        ({"answer": [1, 2], "response": "[2, 1]"}, "wrong"),
        ({"answer": math.nan, "response": "3"}, "-"),
        ({"answer": "nan", "response": "3"}, "-"),
        ({"answer": {"value": 3}, "response": "3"}, "-"),
        ({"answer": 5, "response": None}, "unread"),
        ({"answer": 5, "response": math.nan}, "unread"),
        ({"answer": 5, "response": []}, "unread"),
    ],
)
def test_a_line_without_a_gold_or_a_response_is_shown_as_such(row: dict[str, Any], status: str, tmp_path: Path) -> None:
    (shown,) = read_answers(lines(tmp_path / "a.jsonl", [{"question": "How many?", **row}]))
    assert shown.record["status"] == status


def test_the_context_of_a_long_answer_is_cut_and_printable() -> None:
    response = "x" * 500 + "\x1b[31m\nB" + "y" * 500
    before, decided, after = ShownAnswer({"span": [506, 507]}, response).context()
    assert (decided, after) == ("B", "y" * 90)
    assert before.startswith("…x")
    assert "\x1b" not in before
    assert ShownAnswer({"span": None}, response).context()[0].endswith("y")


def test_a_file_without_answers_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RapError, match="no line of it is an answer"):
        list(read_answers(lines(tmp_path / "a.jsonl", [{"text": "x"}])))
    (tmp_path / "b.tsv").write_text("index\tprediction\n")
    with pytest.raises(RapError, match="no answers to read"):
        list(read_answers(tmp_path / "b.tsv"))
    (tmp_path / "m_RAP_VStar_rap_scores.json").write_text("{}")
    with pytest.raises(RapError, match="are not beside it"):
        list(read_answers(tmp_path / "m_RAP_VStar_rap_scores.json"))


def test_what_is_shown_fits_the_width_of_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    long = "The glove is woven from yellow thread. " * 8
    rows = [
        {"question": GLOVE.question, "answer": "B", "response": f"{long}The answer is (B). {long}"},
        {"question": "Say it.", "answer": "9", "response": "1, " * 200},
        {"question": GLOVE.question, "answer": "B", "response": ""},
    ]
    output = run(str(lines(tmp_path / "a.jsonl", rows)))
    assert max(map(len, output)) <= 80
    assert any("[answer is (B)]" in line for line in output)
    assert "    (nothing was said)" in output


def test_a_judge_is_asked_about_unread_answers_only(tmp_path: Path) -> None:
    server = Server()
    rows = [{"id": i, "question": GLOVE.question, "answer": "B", "response": r} for i, r in enumerate(RESPONSES)]
    path = str(lines(tmp_path / "a.jsonl", rows))
    try:
        output = run(path, "--judge", f"small-judge@{server.url}")
    finally:
        server.close()
    assert len(server.asked) == 1
    assert [line for line in output if line.endswith("(judged)")] == ["1  right  gold 'B'  read  (judged)"]
    assert output[-1] == "3 answers: 3 read, 0 unread, 0 contradictory, 1 judged"


def test_a_judge_that_cannot_be_asked_is_one_line(tmp_path: Path) -> None:
    scored = tmp_path / "m_rap_scores.json"
    scored.write_text("{}")
    server = Server()
    try:
        for judge, problem in (("no-url", "--judge no-url"), (f"small-judge@{server.url}", "scored already")):
            done = CliRunner().invoke(cli, ["eval", "read", str(scored), "--judge", judge])
            assert isinstance(done.exception, RapError)
            assert problem in str(done.exception)
    finally:
        server.close()
