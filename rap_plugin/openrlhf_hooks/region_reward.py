"""What a region row earns in OpenRLHF: accuracy of its answer by the rules of the grader, and the share of the format."""

from __future__ import annotations

from typing import Any

from rap_plugin.grading import GradeItem
from rap_plugin.openrlhf_hooks.reward import UNGRADED, default_grader
from rap_plugin.vlm_r3.trace import Trace

FORMAT = 0.5
"""For a closed <answer>, as in the released R-GRPO reward."""


def region_rewards(trace: Trace, question: str, label: Any) -> tuple[float, float, dict[str, float]]:
    """(reward, score, numbers for the training's log) of one row."""
    (grade,) = default_grader().grade([GradeItem(f"\\boxed{{{trace.answer}}}", str(label), question)])
    right = float(grade.verdict == "right")
    closed = float(trace.ended == "answer")
    logs = {
        "rap_r3_crops": float(trace.crops),
        "rap_r3_valid_boxes": float(sum(look.valid for look in trace.looks)),
        "rap_r3_bad_boxes": float(sum(not look.valid for look in trace.looks)),
        UNGRADED: float(grade.reward is None),
    }
    return right + FORMAT * closed, right, logs
