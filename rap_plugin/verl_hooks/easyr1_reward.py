"""A reward for EasyR1, a fork of verl with an interface of its own: 0.9 accuracy + 0.1 format by the graders of rap.

`worker.reward.reward_function=$(rap path easyr1-reward):compute_score`; EasyR1 loads the file by its path.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.grading import GradeItem
from rap_plugin.samples.formats.values import label_text
from rap_plugin.verl_hooks.reward import open_grader_for, scores_of

REWARD_NAME = "rap"
REWARD_TYPE = "batch"
"""How newer versions of EasyR1 call the function; older ones take worker.reward.reward_type, whose default it is."""

logger = logging.getLogger("rap_plugin.easyr1")


def compute_score(
    reward_inputs: Sequence[Mapping[str, Any]],
    format_weight: float | None = None,
    run_dir: str | None = None,
    grader: str | None = None,
) -> list[dict[str, float]]:
    """EasyR1's reward function for a batch of {response, response_length, ground_truth}.

    Returns {overall, accuracy, format, graded} per response, all between 0 and 1. `run_dir`
    (`worker.reward.reward_function_kwargs`) grades as that run did, else grader `auto` grades. A response that cannot be
    graded gets 0, as EasyR1 needs a number, with `graded` 0 and a line in the log.
    """
    if isinstance(reward_inputs, Mapping):
        raise RapError("the reward is asked for one response at a time; set worker.reward.reward_type=batch")
    items = [GradeItem(response=str(one["response"]), gold=label_text(one["ground_truth"])) for one in reward_inputs]
    grades = open_grader_for(run_dir, grader, format_weight).grade(items)
    lost = [grade for grade in grades if grade.reward is None]
    if lost:
        logger.warning(
            "rap: %d of %d responses could not be graded (%s) and score 0", len(lost), len(grades), lost[0].reason
        )
    scores = map(scores_of, grades)
    return [
        {"overall": one["score"], "accuracy": one["acc"], "format": one["format"], "graded": one["graded"]}
        for one in scores
    ]
