"""R-GRPO's reward for rows of training hosts, as environment variables say: RAP_R3_REWARD=released or paper.

A judge (RAP_JUDGE=MODEL@URL) is asked about answers that the rules call wrong.
"""

from __future__ import annotations

import os
from typing import Any

from rap_plugin.grading import Grader
from rap_plugin.vlm_r3.golds import one_gold
from rap_plugin.vlm_r3.judging import region_judge
from rap_plugin.vlm_r3.reward import final_answer, judged_right, region_reward, reward_terms
from rap_plugin.vlm_r3.trace import Trace

PRESET = "RAP_R3_REWARD"
"""Environment variable with the preset's name."""


def hosted_reward(trace: Trace, question: str, gold: Any, grader: Grader) -> tuple[float, bool | None]:
    """(reward, whether the answer is right; None where nothing can be said of it) of one row; `gold` as the row has it."""
    (right,) = judged_right(grader, [final_answer(trace)], [one_gold(gold)], [question], region_judge())
    terms = reward_terms(os.environ.get(PRESET, "released"))
    return region_reward(trace, bool(right), terms).total, right
