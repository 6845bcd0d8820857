"""What a region row earns in OpenRLHF: the reward of R-GRPO, RAP_R3_REWARD=released or paper."""

from __future__ import annotations

import os
from typing import Any

from rap_plugin.openrlhf_hooks.reward import UNGRADED, default_grader
from rap_plugin.vlm_r3.reward import judged_right, region_reward, reward_terms
from rap_plugin.vlm_r3.trace import Trace

PRESET = "RAP_R3_REWARD"
"""Environment variable with the preset's name."""


def region_rewards(trace: Trace, question: str, label: Any) -> tuple[float, float, dict[str, float]]:
    """(reward, score, numbers for the training's log) of one row."""
    (right,) = judged_right(default_grader(), [trace.answer], [str(label)], [question])
    terms = reward_terms(os.environ.get(PRESET, "released"))
    reward = region_reward(trace, bool(right), terms)
    logs = {
        "rap_r3_crops": float(trace.crops),
        "rap_r3_valid_boxes": float(sum(look.valid for look in trace.looks)),
        "rap_r3_bad_boxes": float(sum(not look.valid for look in trace.looks)),
        UNGRADED: float(right is None),
    }
    return reward.total, float(bool(right)), logs
