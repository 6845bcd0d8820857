"""What a region row earns in OpenRLHF, and what its log says of it."""

from __future__ import annotations

from typing import Any

from rap_plugin.openrlhf_hooks.reward import UNGRADED, default_grader
from rap_plugin.vlm_r3.hosted_reward import hosted_reward
from rap_plugin.vlm_r3.trace import Trace


def region_rewards(trace: Trace, question: str, label: Any) -> tuple[float, float, dict[str, float]]:
    """(reward, score, numbers for the training's log) of one row."""
    reward, right = hosted_reward(trace, question, label, default_grader())
    logs = {
        "rap_r3_crops": float(trace.crops),
        "rap_r3_valid_boxes": float(sum(look.valid for look in trace.looks)),
        "rap_r3_bad_boxes": float(sum(not look.valid for look in trace.looks)),
        UNGRADED: float(right is None),
    }
    return reward, float(bool(right)), logs
