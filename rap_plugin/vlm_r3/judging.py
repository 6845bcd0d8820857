"""The judge of the benchmarks (`RAP_JUDGE=MODEL@URL`) for rewards: asked where the rules call an answer wrong."""

from __future__ import annotations

from collections.abc import Mapping

from rap_plugin.evaluation.grade import BenchmarkGrade
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.judge import judge_from_environment
from rap_plugin.vlm_r3.golds import alternatives
from rap_plugin.vlm_r3.reward import Judge

BY_RULES = BenchmarkGrade(0.0, "wrong", "")


def region_judge(environment: Mapping[str, str] | None = None) -> Judge | None:
    """The judge that RAP_JUDGE names, None where it is not set. Raises RapError for one that cannot be reached.

    A judge that stops answering says None from then on: what the rules have said stays, and a training goes on.
    """
    judge = judge_from_environment(environment)
    if judge is None:
        return None

    def says(question: str, gold: str, answer: str) -> bool | None:
        item = BenchmarkItem("", question, " or ".join(alternatives(gold)), "maths")
        grade = judge.regrade(item, answer, BY_RULES)
        return bool(grade.score) if grade.judged else None

    return says
