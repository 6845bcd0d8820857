"""What a grader is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Verdict = Literal["right", "wrong", "ungradable", "timeout"]
FunctionKind = Literal["auto", "openrlhf", "easyr1", "plain"]

MAX_EXTRACTED = 2_000
"""Characters of an extracted answer that are kept with the grade."""


@dataclass(frozen=True, slots=True)
class GradeItem:
    """One response to grade."""

    response: str
    """what the model wrote, as it came"""
    gold: str
    """the gold answer of the sample"""
    question: str = ""
    """the question, where options may be listed"""
    prompt: str = ""
    """the prompt as the engine saw it; user functions that expect `prompt + response` get it"""
    reward: float | None = None
    """the reward that came with the response from the engine, None where it gave none"""
    rtol: float | None = None
    """relative tolerance on single numbers in place of the grader's own"""
    rounded: bool = False
    """a gold with decimals is a rounded one: what rounds to it is right (benchmarks; a pool's golds are taken as exact)"""


@dataclass(frozen=True, slots=True)
class Grade:
    """The grade of one response. `ungradable` and `timeout` carry no reward: they are not a silent 0."""

    verdict: Verdict
    reward: float | None
    """None unless the verdict is right or wrong"""
    well_formatted: bool
    """the whole response is `<think>..</think> .. \\boxed{..}`"""
    extracted: str
    """the answer that was read in the response; empty where none was found"""
    reason: str = ""
    """why, in a few words; always set when the verdict is ungradable or timeout"""


@dataclass(frozen=True)
class GradingOptions:
    """Options of all graders. Those that can move a verdict are part of the grader's id."""

    timeout_s: float = 5.0
    """seconds of wall time for one response in a worker"""
    workers: int = 2
    """worker processes; never changes a verdict, so it is not part of the id"""
    memory_mb: int = 2048
    """address space that one response may take in a worker, on top of what its imports take"""
    format_weight: float = 0.0
    """share of the format in the reward of built-in graders: (1 - w) * accuracy + w * well formatted"""
    right_at: float = 0.5
    """a user function's reward from which a response counts as right"""
    kind: FunctionKind = "auto"
    """how a user function is called; `auto` reads it from its name and parameters"""
    rtol: float = 0.0
    """relative tolerance on single numbers (PGPS9K is evaluated at 0.01)"""
    alternatives: bool = False
    """`text` golds list alternatives separated by "/" (VLM-R3's data); each one is right"""


class Grader(Protocol):
    """Says whether responses are right. Usable from any thread, by many threads at once."""

    id: str
    """name, version and a hash of the options that can move a verdict; recorded with every grade"""

    def check_gold(self, gold: str, question: str = "") -> str | None:
        """None when the gold answer can be graded against, else the reason. No worker is asked."""

    def grade(self, items: Sequence[GradeItem]) -> list[Grade]:
        """One grade per item, in order. Raises RapError only when a user function cannot be loaded."""

    def close(self) -> None:
        """Stop the workers; a later `grade` starts fresh ones."""


GraderFactory = Callable[[GradingOptions], Grader]
