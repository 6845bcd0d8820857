"""The reward of the modality-gap work for verl and EasyR1, one function each; `tolerance` is exact or one_percent.

verl: `reward.custom_reward_function.path=$(rap path verl-modality-gap-reward)` with
`+reward.custom_reward_function.reward_kwargs.tolerance=exact`.
EasyR1: `worker.reward.reward_function=$(rap path verl-modality-gap-reward):easyr1_score`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from rap_plugin.grading import Grade
from rap_plugin.modality_gap.reward import grade_responses
from rap_plugin.samples.formats.values import label_text
from rap_plugin.verl_hooks.reward import scores_of

REWARD_NAME = "modality_gap"
REWARD_TYPE = "batch"
"""How newer versions of EasyR1 call the function; older ones take worker.reward.reward_type, whose default it is."""

logger = logging.getLogger("rap_plugin.verl")


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    tolerance: str = "one_percent",
    **others: Any,
) -> dict[str, float]:
    """verl's reward function: {score, acc, format, graded}, all between 0 and 1; what nobody can judge scores 0."""
    question = str((extra_info or {}).get("question") or "")
    grades = grade_responses([solution_str], [label_text(ground_truth)], [question], tolerance)
    _tell(grades)
    return scores_of(grades[0])


def easyr1_score(reward_inputs: Sequence[Mapping[str, Any]], tolerance: str = "one_percent") -> list[dict[str, float]]:
    """EasyR1's batched reward function: {overall, accuracy, format, graded} per {response, ground_truth}."""
    grades = grade_responses(
        [str(one["response"]) for one in reward_inputs],
        [label_text(one["ground_truth"]) for one in reward_inputs],
        tolerance=tolerance,
    )
    _tell(grades)
    named = (("overall", "score"), ("accuracy", "acc"), ("format", "format"), ("graded", "graded"))
    return [{ours: scores[theirs] for ours, theirs in named} for scores in map(scores_of, grades)]


def _tell(grades: Sequence[Grade]) -> None:
    lost = [grade for grade in grades if grade.reward is None]
    if lost:
        logger.warning(
            "rap: %d of %d responses cannot be graded (%s) and score 0", len(lost), len(grades), lost[0].reason
        )
