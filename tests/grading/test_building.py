"""A grader is one decorated function."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rap_plugin.grading import GradeItem, GradingOptions, open_grader
from rap_plugin.grading.building import Ask, Opinion, grader, reward_of


@grader("starts", version=3, moved_by=("rtol",))
def starts(item: GradeItem, options: GradingOptions) -> Opinion:
    """Right when the response starts with the gold answer."""
    if item.gold == "bug":
        raise KeyError("gold")
    return Opinion("right" if item.response.startswith(item.gold) else "wrong", item.response[:20])


def test_one_function_is_a_whole_grader() -> None:
    made = open_grader("starts", options=GradingOptions(format_weight=0.1), registry={"starts": starts})
    grades = made.grade([GradeItem("red door", "red"), GradeItem("a red door", "red")])
    assert [(grade.verdict, grade.reward, grade.extracted) for grade in grades] == [
        ("right", 0.9, "red door"),
        ("wrong", 0.0, "a red door"),
    ]
    assert made.check_gold(" ") == "the gold answer is empty"
    made.close()


def test_its_identity_has_its_version_and_moves_with_the_options_that_it_names() -> None:
    one = starts(GradingOptions()).id
    assert one.startswith("starts-3:")
    assert starts(GradingOptions(rtol=0.1)).id != one
    assert starts(GradingOptions(timeout_s=9.0)).id == one


def test_a_bug_in_a_rule_makes_one_response_ungradable_and_ends_no_run() -> None:
    bug, fine = starts(GradingOptions()).grade([GradeItem("a", "bug"), GradeItem("red", "red")])
    assert (bug.verdict, bug.reward) == ("ungradable", None)
    assert bug.reason.startswith("error in a grading rule")
    assert fine.verdict == "right"


def test_equal_responses_to_one_problem_are_read_once() -> None:
    read = []

    @grader("counts", version=1)
    def counts(item: GradeItem, options: GradingOptions) -> Opinion:
        read.append(item)
        return Opinion("right" if item.response == item.gold else "wrong", item.response)

    items = [GradeItem("3", "3"), GradeItem("4", "3"), GradeItem("3", "3"), GradeItem("3", "4"), GradeItem("3", "3")]
    assert [grade.verdict for grade in counts(GradingOptions()).grade(items)] == [
        "right",
        "wrong",
        "right",
        "wrong",
        "right",
    ]
    assert read == [GradeItem("3", "3"), GradeItem("4", "3"), GradeItem("3", "4")]


def test_a_grader_that_asks_workers_has_to_name_them() -> None:
    @grader("asks", version=1)
    def asks(item: GradeItem, options: GradingOptions) -> Ask:
        return Ask({}, "", lambda reply: Opinion("right", ""))

    with pytest.raises(TypeError, match="names them"):
        asks(GradingOptions()).grade([GradeItem("a", "b")])


@given(st.floats(0, 1))
def test_right_and_well_formatted_is_exactly_one_for_every_weight(weight: float) -> None:
    assert reward_of(True, True, weight) == 1.0
    assert reward_of(False, False, weight) == 0.0
    assert reward_of(True, False, 0.1) == 0.9
    assert reward_of(False, True, 0.1) == 0.1
