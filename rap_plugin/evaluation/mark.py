"""What one response to a benchmark's problem is worth."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

SCORER = "1"
"""Raised when a rule changes what some response scores; recorded with every result."""


Status = Literal["right", "wrong", "partial", "unread", "unjudged"]


@dataclass(frozen=True, slots=True)
class Mark:
    """What one response is worth."""

    score: float | None
    """0..1; None when it is unjudged: rules cannot tell and no judge did. Never a silent 0"""
    status: Status
    """`unread`: the response gives no answer (a refusal, a hedge, cut off); it scores 0 and is counted"""
    said: str
    """the answer that was read"""
    judged: bool = False
    """whether a judge decided"""
    reason: str = ""
    """why it is unjudged, or what the judge was needed for"""
    extra: dict[str, float] = field(default_factory=dict)
    """further measures of this response: `jaccard` for covered texts"""

    def as_dict(self) -> dict[str, Any]:
        """For result files."""
        return asdict(self)
