"""A reward for verl from the graders of rap: 0.9 accuracy + 0.1 format, as RAP trains (arXiv 2506.04755)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from rap_plugin.config import GradingConfig, RunConfig
from rap_plugin.errors import RapError
from rap_plugin.grading import Grade, GradeItem, Grader
from rap_plugin.pipeline.grading import make_grader
from rap_plugin.plugins import get_plugins, load_plugin_files
from rap_plugin.run_dir.about import config_of, read_run
from rap_plugin.samples.formats.values import label_text

logger = logging.getLogger("rap_plugin.verl")

FORMAT_WEIGHT = 0.1
"""Share of the format, unless the run or the call says another."""

NOT_HERE = ("engine", "imported")
"""Graders that read rewards which came with the responses: there are none for fresh ones."""


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    run_dir: str | None = None,
    grader: str | None = None,
    format_weight: float | None = None,
    **others: Any,
) -> dict[str, float]:
    """verl's reward function: {score, acc, format, graded}, all between 0 and 1.

    `run_dir` grades as that run did (`reward_kwargs.run_dir=RUN`), else grader `auto`; `grader` and `format_weight`
    override it. The question, where options are listed, is `extra_info["question"]`. A response that cannot be graded
    gets the score 0, as verl needs a number, with `graded` 0 and a line in the log.
    """
    question = (extra_info or {}).get("question") or ""
    item = GradeItem(response=solution_str, gold=label_text(ground_truth), question=str(question))
    grade = open_grader_for(run_dir, grader, format_weight).grade([item])[0]
    if grade.reward is None:
        logger.warning("rap: a response to %r is %s (%s); it scores 0", data_source, grade.verdict, grade.reason)
    return scores_of(grade)


def scores_of(grade: Grade) -> dict[str, float]:
    """A grade as the numbers that trainers log."""
    return {
        "score": grade.reward or 0.0,
        "acc": float(grade.verdict == "right"),
        "format": float(grade.well_formatted),
        "graded": float(grade.reward is not None),
    }


@lru_cache(maxsize=8)
def open_grader_for(run_dir: str | None, grader: str | None = None, format_weight: float | None = None) -> Grader:
    """The grader, opened once a process; its workers live as long as the process does."""
    config = RunConfig()
    if run_dir is not None:
        config = config_of(read_run(Path(run_dir)), Path(run_dir))
        load_plugin_files(config.plugins)
    grading = config.grading.model_dump()
    if grader is not None:
        grading["grader"] = grader
    if grading["grader"] in NOT_HERE:
        raise RapError(
            f"{run_dir or 'grader'}: grader {grading['grader']!r} reads rewards that came with the responses, of which "
            "training makes new ones; add +reward.custom_reward_function.reward_kwargs.grader=auto"
        )
    if format_weight is not None:
        grading["format_weight"] = format_weight
    elif grading["format_weight"] is None:
        grading["format_weight"] = FORMAT_WEIGHT
    config = config.model_copy(update={"grading": GradingConfig.model_validate(grading)})
    return make_grader(config, get_plugins().registry())
