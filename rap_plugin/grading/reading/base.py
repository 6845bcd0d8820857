"""What a reader found in a response: a value, nothing, or two values that exclude each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Generic, Literal, ParamSpec, TypeVar

from rap_plugin.errors import one_line

T = TypeVar("T")
P = ParamSpec("P")

Outcome = Literal["read", "unread", "contradictory"]

RULE_ERROR = "error in a reading rule"
"""How the reason begins when a rule failed on a response: a bug of ours, and one that is counted."""


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """One reading of one response."""

    outcome: Outcome
    value: T | None = None
    """what was read; set exactly when the outcome is `read`"""
    span: tuple[int, int] | None = None
    """(start, end) of the characters that decided: `response[start:end]`; None where nothing stands out"""
    reason: str = ""
    """the rule that read it ("boxed", "answer phrase"), or why nothing was read"""

    def said(self, response: str) -> str:
        """The words that decided."""
        return response[self.span[0] : self.span[1]] if self.span else ""


def read(value: T, span: tuple[int, int] | None, reason: str) -> Reading[T]:
    """A reading with a value."""
    return Reading("read", value, span, reason)


def unread(reason: str, span: tuple[int, int] | None = None) -> Reading[T]:
    """Nothing that counts as an answer."""
    return Reading("unread", None, span, reason)


def contradictory(reason: str, span: tuple[int, int] | None = None) -> Reading[T]:
    """Two answers of which neither is marked as the final one."""
    return Reading("contradictory", None, span, reason)


def never_raises(reader: Callable[P, Reading[T]]) -> Callable[P, Reading[T]]:
    """A reader of whatever a model can say: a bug inside a rule costs one reading, not a run of thousands."""

    @wraps(reader)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Reading[T]:
        try:
            return reader(*args, **kwargs)
        except Exception as error:
            return unread(f"{RULE_ERROR}: {one_line(error, 200)}")

    return guarded
