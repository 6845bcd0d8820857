"""Grader `math`: tolerance, golds, rewards."""

from __future__ import annotations

import pytest

from rap_plugin.grading import GradeItem, GradingOptions, open_grader

OPTIONS = GradingOptions()


def test_a_tolerance_is_part_of_the_id_of_math() -> None:
    assert open_grader("math", options=OPTIONS).id != open_grader("math", options=GradingOptions(rtol=0.01)).id


def test_golds_that_no_parser_should_meet_are_refused() -> None:
    grader = open_grader("math", options=OPTIONS)
    assert "characters long" in (grader.check_gold("1+" * 5000) or "")
    assert "nests brackets" in (grader.check_gold("(" * 100) or "")


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


def test_a_number_that_answers_stands_against_the_details_after_it() -> None:
    said = "There are 3 bars that are higher than 50. The values of these bars are 58, 59, and 63."
    grader = open_grader("math", options=OPTIONS)
    grades = grader.grade([GradeItem(said, gold, "How many bars are higher than 50?") for gold in ("3", "63")])
    grader.close()
    assert [grade.verdict for grade in grades] == ["right", "wrong"]
