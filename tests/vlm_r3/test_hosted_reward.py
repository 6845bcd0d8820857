"""R-GRPO's reward in the hosts: the same row earns the same everywhere."""

from __future__ import annotations

from typing import Any

import pytest

from rap_plugin.grading import GradingOptions, open_grader
from rap_plugin.openrlhf_hooks.region_reward import region_rewards
from rap_plugin.trl_hooks.region_rewards import region_reward
from rap_plugin.vlm_r3.hosted_reward import hosted_reward
from rap_plugin.vlm_r3.trace import Ended, Trace


def trace_of(text: str, ended: Ended) -> Trace:
    return Trace((text,), ("",), (), ended, 9)


def accuracies(text: str, ended: Ended, gold: Any) -> list[bool | None]:
    """What OpenRLHF, verl and TRL say of one row."""
    trace = trace_of(text, ended)
    _, score, logs = region_rewards(trace, "?", gold)
    here, there = (None if logs["rap_ungraded"] else bool(score)), hosted_reward(trace, "?", gold, GRADER)[1]
    (trl,) = region_reward()(["?"], [text], trace=[trace], answer=[gold])
    return [here, there, None if trl is None else trl >= 1]


GRADER = open_grader("auto", options=GradingOptions())


@pytest.mark.parametrize(
    ("text", "ended", "gold", "right"),
    [
        ("It is four. <answer>4</answer>", "answer", "4", True),
        ("It is four. <answer>4</answer>", "answer", 4, True),
        ("It is four. <answer>4</answer>", "answer", ["4"], True),
        ("It is four. <answer>4</answer>", "answer", r"so \boxed{4}", True),
        ("<answer>3</answer> no, <answer>4</answer>", "answer", "3", False),
        ("It is four. <answer>4", "end", "4", True),
        ("It is <answer>4", "tokens", "4", False),
        ("It is <answer>4", "context", "4", False),
        ("4", "end", "4", False),
        ("So the answer is 4", "segments", "4", False),
        ("<answer>None</answer>", "answer", None, None),
        ("<answer>nan</answer>", "answer", float("nan"), None),
        ("<answer>4</answer>", "answer", ["4", "5"], None),
    ],
)
def test_every_host_takes_the_marked_answer_of_a_row_that_did_not_run_out(
    text: str, ended: Ended, gold: Any, right: bool | None
) -> None:
    assert accuracies(text, ended, gold) == [right] * 3
