"""Scoring one response: what is promised whatever the response says."""

from __future__ import annotations

import pytest

from rap_plugin.evaluation import scoring
from rap_plugin.evaluation.grade import BenchmarkGrade
from rap_plugin.evaluation.item import BenchmarkItem, Kind
from rap_plugin.evaluation.measures import record_of, rule_errors
from rap_plugin.evaluation.scoring import score_response

ITEMS = {
    "choice": BenchmarkItem("1", "Which?\n(A) red\n(B) blue", "B", "choice", ("red", "blue")),
    "yes_no": BenchmarkItem("1", "Is there a dog?", "yes", "yes_no"),
    "number": BenchmarkItem("1", "How many?", "7", "number", precision=0),
    "maths": BenchmarkItem("1", "What is x?", "3\\pi", "maths"),
    "wanted": BenchmarkItem("1", "What is x?", "-1<AND>-5", "wanted"),
    "covered": BenchmarkItem("1", "What is covered?", "first edition", "covered"),
}
HOSTILE = [
    "5 per minute",
    "5 per",
    "/ per /",
    "\\boxed{per}",
    "\\boxed{" * 3000,
    "1e999999999",
    "0/0",
    "\\frac{1}{0}",
    "\x00\ud800",
    "९९ \u202e①",
    "</think>" * 2000,
    "(((((" * 4000,
    "9" * 100_000,
]


@pytest.mark.parametrize("kind", sorted(ITEMS))
def test_no_response_makes_a_scorer_raise_or_a_rule_fail(kind: str) -> None:
    for response in HOSTILE:
        grade = score_response(ITEMS[kind], response)
        assert not grade.rule_failed, (response[:40], grade.reason)
        assert grade.score in (0.0, None), response[:40]


def test_a_rule_that_raises_costs_one_response_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(item: BenchmarkItem, response: str) -> BenchmarkGrade:
        raise ZeroDivisionError("Fraction(1, 0)")

    monkeypatch.setitem(scoring.RULES, "number", broken)
    grade = score_response(ITEMS["number"], "7")
    assert (grade.score, grade.verdict) == (0.0, "unread")
    record = record_of(ITEMS["number"], [grade, grade])
    assert rule_errors([record, record_of(ITEMS["choice"], [score_response(ITEMS["choice"], "B")])]) == (
        "a reading rule failed on 2 responses, which count as unread; the first: error in a reading rule: "
        "ZeroDivisionError: Fraction(1, 0)"
    )


def test_an_option_with_the_text_of_the_gold_option_is_right_too() -> None:
    item = BenchmarkItem("1", "How long?", "A", "choice", ("4", "8", "4", "16"))
    for response, verdict in (("A", "right"), ("C", "right"), ("\\boxed{4}", "right"), ("B", "wrong"), ("D", "wrong")):
        assert score_response(item, response).verdict == verdict, response


@pytest.mark.parametrize(
    ("kind", "response", "outcome"),
    [
        ("choice", "The answer is B.", "read"),
        ("choice", "I cannot tell.", "unread"),
        ("yes_no", "Yes, there is.", "read"),
        ("number", "The answer is 5.", "read"),
        ("maths", "\\boxed{3\\pi}", "read"),
        ("maths", "", "unread"),
        ("wanted", "-1 and -5", "read"),
        ("covered", "first edition", "read"),
        ("covered", "nothing of it", "unread"),
    ],
)
def test_every_grade_says_what_the_reading_came_to(kind: Kind, response: str, outcome: str) -> None:
    grade = score_response(ITEMS[kind], response)
    assert grade.outcome == outcome
    if grade.span:
        assert response[slice(*grade.span)].strip()


def wanted(gold: str, response: str) -> str:
    return score_response(BenchmarkItem("1", "What is it?", gold, "wanted"), response).verdict


@pytest.mark.parametrize(
    ("gold", "response"),
    [
        ("5", "5 + 3 = 8"),
        ("5", "There are between 3 and 5 tomatoes."),
        ("5", "3, 4, 5"),
        ("12.5<OR>$12.5", "12.5 - 2 = 10.5"),
        ("New York<OR>NYC", "It resembles New York but it is Chicago"),
        ("New York", "It could be New York."),
        ("yes", "Yes, but actually no"),
    ],
)
def test_a_phrase_beside_a_doubt_or_a_number_beside_others_decides_nothing(gold: str, response: str) -> None:
    assert wanted(gold, response) == "unjudged"


@pytest.mark.parametrize(
    ("gold", "response", "verdict"),
    [
        ("5", "There are 5 tomatoes.", "right"),
        ("-1<AND>-5", "-1 and -5", "right"),
        ("-1<AND>-5", "-1", "partial"),
        ("13.6<OR>13.7", "13.66 gallons", "right"),
        ("13.6<OR>13.7", "13.3 gallons", "wrong"),
        ("25%", "25%", "right"),
        ("25%", "75%", "wrong"),
        ("0.5 kg", "0.7 kg", "wrong"),
        ("no", "No, it is a dog.", "right"),
    ],
)
def test_a_number_or_a_phrase_that_stands_alone_decides(gold: str, response: str, verdict: str) -> None:
    assert wanted(gold, response) == verdict


def test_a_refusal_to_an_open_question_is_unread() -> None:
    for text in (
        "I'm sorry, I can't identify people.",
        "I'm sorry, but I can't help with that.",
        "I cannot see the image.",
        "As an AI, I do not know.",
        "抱歉，我看不到图片。",
    ):
        assert wanted("Donald Trump", text) == "unread"
    assert wanted("stop", "I'm sorry, I can't see the car, but the sign says stop.") == "unjudged"


def test_a_covered_text_in_a_thought_that_never_ended_is_not_restored() -> None:
    item = BenchmarkItem("1", "What is covered?", "the first edition of", "covered")
    assert score_response(item, "<think>Perhaps the first edition of").verdict == "unread"
    assert score_response(item, "<think>Perhaps</think>the first edition of").verdict == "right"
    assert score_response(item, "Perhaps</think>the first edition of").verdict == "right"
