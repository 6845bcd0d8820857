"""Grader `text`: alternatives."""

from __future__ import annotations

from rap_plugin.grading import GradeItem, GradingOptions, open_grader

OPTIONS = GradingOptions()


def test_alternatives_of_a_text_gold_count_only_when_asked_for() -> None:
    items = [GradeItem("red", "red/crimson"), GradeItem("Crimson.", "red/crimson"), GradeItem("blue", "red/crimson")]
    assert [g.verdict for g in open_grader("text", options=OPTIONS).grade(items)] == ["wrong"] * 3
    with_alternatives = open_grader("text", options=GradingOptions(alternatives=True))
    assert [g.verdict for g in with_alternatives.grade(items)] == ["right", "right", "wrong"]
