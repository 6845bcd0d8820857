"""The grade of one response to a benchmark's problem, in the words of `grading.Grade`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rap_plugin.grading.reading.base import RULE_ERROR, Outcome

SCORER = "6"
"""Raised when a rule changes the grade of some response; recorded with every result."""


BenchmarkVerdict = Literal["right", "wrong", "partial", "unread", "unjudged"]


@dataclass(frozen=True, slots=True)
class BenchmarkGrade:
    """The grade of one response."""

    score: float | None
    """0..1; None when it is unjudged. Never a silent 0"""
    verdict: BenchmarkVerdict
    """`partial`: a part of what was asked. `unread`: the response gives no answer (a refusal, a hedge, cut off); it
    scores 0 and is counted. `unjudged`: rules cannot tell (a grade's `ungradable` or `timeout`) and no judge did"""
    extracted: str
    """the answer that was read in the response; empty where none was found"""
    judged: bool = False
    """whether a judge decided"""
    reason: str = ""
    """the rule that read the answer, or why it is unread or unjudged, or why the judge was of no use"""
    outcome: Outcome = "read"
    """what the reading came to: an answer, none, or two that exclude each other"""
    span: tuple[int, int] | None = None
    """(start, end) of the characters of the response that decided; None where nothing stands out"""
    extra: dict[str, float] = field(default_factory=dict)
    """further measures of this response: `jaccard` for covered texts"""

    @property
    def rule_failed(self) -> bool:
        """A rule raised: a bug of ours that costs this response and never a run. Such responses are unread."""
        return self.reason.startswith(RULE_ERROR)
