"""The reward of the modality-gap work (arXiv 2510.22836): 0.9 accuracy + 0.1 format, by the project's graders.

Format is the whole response as `<think>..</think> .. \\boxed{..}`. Training as published is exact, although gold answers are
rounded to three decimals, so that a right closed form scores 0; evaluation allows 1 %. Both are here, 1 % by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

from rap_plugin.errors import RapError
from rap_plugin.grading import Grade, GradeItem, Grader, GradingOptions, open_grader

Tolerance = Literal["exact", "one_percent"]
RELATIVE: dict[str, float] = {"exact": 0.0, "one_percent": 0.01}
"""Relative tolerance on numbers by mode."""

FORMAT_WEIGHT = 0.1


@cache
def reward_grader(tolerance: str = "one_percent") -> Grader:
    """The grader `auto` with this reward, opened once a process; its `Grade.reward` is in {0, 0.1, 0.9, 1} or None.

    Right and well formatted is exactly 1.0, which the contrastive loss asks for. Raises RapError for another mode.
    """
    if tolerance not in RELATIVE:
        raise RapError(f"tolerance {tolerance!r}; there are {', '.join(RELATIVE)}")
    return open_grader("auto", options=GradingOptions(format_weight=FORMAT_WEIGHT, rtol=RELATIVE[tolerance]))


def grade_responses(
    responses: Sequence[str], golds: Sequence[str], questions: Sequence[str] = (), tolerance: str = "one_percent"
) -> list[Grade]:
    """One grade per response. `questions`, where given, tell which options a multiple choice question lists."""
    asked = questions or [""] * len(responses)
    return reward_grader(tolerance).grade(
        [GradeItem(response, gold, question) for response, gold, question in zip(responses, golds, asked, strict=True)]
    )
