"""Grader `choice`: golds."""

from __future__ import annotations

from rap_plugin.grading import GradingOptions, open_grader

OPTIONS = GradingOptions()


def test_a_gold_letter_that_no_option_has_is_refused() -> None:
    reason = open_grader("choice", options=OPTIONS).check_gold("F", "Which? (A) x (B) y")
    assert reason == "the gold answer 'F' is none of the options A, B"
