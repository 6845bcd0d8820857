"""What all graders promise: names, ids, golds, rewards, options."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from rap_plugin.errors import RapError
from rap_plugin.grading import BUILTIN_GRADERS, Grade, GradeItem, GradingOptions, open_grader
from rap_plugin.grading.extract import parse_options
from rap_plugin.grading.graders.auto import route

OPTIONS = GradingOptions()
READERS = ["auto", "choice", "math", "text"]
"""graders that read the response themselves"""


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(RapError, match=r"no grader 'maths': use one of auto, choice, .*math, text, or path"):
        open_grader("maths", options=OPTIONS)


def test_a_registry_replaces_the_built_in_names() -> None:
    class Everything:
        id = "everything-1"

        def check_gold(self, gold: str, question: str = "") -> str | None:
            return None

        def grade(self, items: object) -> list[Grade]:
            return []

        def close(self) -> None: ...

    registry = {**BUILTIN_GRADERS, "everything": lambda options: Everything()}
    assert open_grader("everything", options=OPTIONS, registry=registry).id == "everything-1"
    with pytest.raises(RapError, match="everything"):
        open_grader("nothing", options=OPTIONS, registry=registry)


@pytest.mark.parametrize("name", READERS)
def test_an_id_is_stable_and_moves_with_what_can_move_a_verdict(name: str) -> None:
    one = open_grader(name, options=OPTIONS).id
    assert one.startswith(name)
    assert open_grader(name, options=dataclasses.replace(OPTIONS, workers=7)).id == one
    assert open_grader(name, options=dataclasses.replace(OPTIONS, format_weight=0.1)).id != one


def test_a_tolerance_is_part_of_the_id_of_math() -> None:
    assert open_grader("math", options=OPTIONS).id != open_grader("math", options=GradingOptions(rtol=0.01)).id


@pytest.mark.parametrize("name", READERS)
def test_an_empty_gold_is_refused_with_a_reason(name: str) -> None:
    grader = open_grader(name, options=OPTIONS)
    assert grader.check_gold("") == "the gold answer is empty"
    assert grader.check_gold(" \n") == "the gold answer is empty"
    assert grader.check_gold("C", "Which? (A) x (B) y (C) z") is None


def test_a_gold_letter_that_no_option_has_is_refused() -> None:
    reason = open_grader("choice", options=OPTIONS).check_gold("F", "Which? (A) x (B) y")
    assert reason == "the gold answer 'F' is none of the options A, B"


def test_golds_that_no_parser_should_meet_are_refused() -> None:
    grader = open_grader("math", options=OPTIONS)
    assert "characters long" in (grader.check_gold("1+" * 5000) or "")
    assert "nests brackets" in (grader.check_gold("(" * 100) or "")


def test_no_items_give_no_grades() -> None:
    for name in BUILTIN_GRADERS:
        assert open_grader(name, options=OPTIONS).grade([]) == []


@pytest.mark.parametrize(
    ("response", "reward"),
    [
        (r"<think>a</think>\boxed{5}", 1.0),
        (r"\boxed{5}", 0.9),
        (r"<think>a</think>\boxed{6}", 0.1),
        (r"\boxed{6}", 0.0),
    ],
)
def test_the_reward_is_accuracy_and_format_in_the_released_shares(response: str, reward: float) -> None:
    grader = open_grader("math", options=GradingOptions(format_weight=0.1))
    assert [g.reward for g in grader.grade([GradeItem(response, "5")])] == [reward]


def test_the_engine_grader_takes_the_reward_that_came_with_the_response() -> None:
    grader = open_grader("engine", options=GradingOptions(right_at=0.9))
    items = [GradeItem("a", "", reward=1.0), GradeItem("a", "", reward=0.5), GradeItem("a", "")]
    graded = [(g.verdict, g.reward) for g in grader.grade(items)]
    assert graded == [("right", 1.0), ("wrong", 0.5), ("ungradable", None)]


def test_a_relative_tolerance_takes_roundings_of_pgps9k() -> None:
    items = [
        GradeItem(r"\boxed{24\sqrt{3}}", "41.569"),
        GradeItem(r"\boxed{41.6}", "41.569"),
        GradeItem(r"\boxed{42.5}", "41.569"),
        GradeItem(r"\boxed{-41.569}", "41.569"),
        GradeItem(r"\boxed{100}", "101"),
    ]
    exact, tolerant = open_grader("math", options=OPTIONS), open_grader("math", options=GradingOptions(rtol=0.01))
    assert [g.verdict for g in exact.grade(items)] == ["wrong"] * 5
    assert [g.verdict for g in tolerant.grade(items)] == ["right", "right", "wrong", "wrong", "right"]
    exact.close()
    tolerant.close()


def test_alternatives_of_a_text_gold_count_only_when_asked_for() -> None:
    items = [GradeItem("red", "red/crimson"), GradeItem("Crimson.", "red/crimson"), GradeItem("blue", "red/crimson")]
    assert [g.verdict for g in open_grader("text", options=OPTIONS).grade(items)] == ["wrong"] * 3
    with_alternatives = open_grader("text", options=GradingOptions(alternatives=True))
    assert [g.verdict for g in with_alternatives.grade(items)] == ["right", "right", "wrong"]


@pytest.mark.parametrize(
    ("gold", "question", "expected"),
    [
        ("C", "", "choice"),
        ("C", "Which? (A) x (B) y (C) z", "choice"),
        ("F", "Which? (A) x (B) y (C) z", "math"),
        ("B, D", "Which two of A, B, C or D?", "choice"),
        ("12 cm", "Which? (A) 3 cm (B) 12 cm", "choice"),
        ("c", "", "math"),
        ("42", "", "math"),
        (r"\frac{1}{2}", "", "math"),
        ("x + 1", "", "math"),
        ("[0, 1)", "", "math"),
        ("50%", "", "math"),
        ("blue", "", "text"),
        ("the Eiffel Tower", "", "text"),
        ("ABC", "Name the triangle.", "text"),
        ("BD", "Which two of A, B, C or D?", "choice"),
    ],
)
def test_auto_sends_each_gold_where_it_belongs(gold: str, question: str, expected: str) -> None:
    assert route(gold, question, parse_options(question)) == expected


def test_importing_the_room_imports_no_computer_algebra() -> None:
    code = "import sys, rap_plugin.grading; print([m for m in ('sympy', 'math_verify', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
