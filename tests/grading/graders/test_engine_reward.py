"""Grader `engine`: the reward that came along."""

from __future__ import annotations

from rap_plugin.grading import GradeItem, GradingOptions, open_grader


def test_the_engine_grader_takes_the_reward_that_came_with_the_response() -> None:
    grader = open_grader("engine", options=GradingOptions(right_at=0.9))
    items = [GradeItem("a", "", reward=1.0), GradeItem("a", "", reward=0.5), GradeItem("a", "")]
    graded = [(g.verdict, g.reward) for g in grader.grade(items)]
    assert graded == [("right", 1.0), ("wrong", 0.5), ("ungradable", None)]
