"""One problem of a benchmark, in the only form that prompts and scorers know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rap_plugin.grading.extract import LETTERS

Kind = Literal["choice", "yes_no", "number", "maths", "wanted", "covered"]
"""How an answer is read: an option letter (or several), yes or no, a number with a precision, a mathematical object,
phrases joined by <AND> and <OR> (`wanted`: MM-Vet), covered text to restore (`covered`: VCR). Prepared files hold these
words."""


@dataclass(frozen=True, slots=True)
class BenchmarkItem:
    """A problem as every benchmark's reader gives it."""

    id: str
    """unique within its part of the benchmark"""
    question: str
    """what the model is asked, options listed; no instruction on the form of the answer"""
    gold: str
    """letters for `choice`, yes or no, a number, a formula; for `covered` one text a line"""
    kind: Kind
    options: tuple[str, ...] = ()
    """texts of options A, B, ..; empty texts where the options are in the image; () when they are unknown"""
    precision: int | None = None
    """`number`: decimals that count"""
    rtol: float = 0.0
    """`maths`: relative tolerance"""
    groups: Mapping[str, str] = field(default_factory=dict)
    """what measures group by: category, pair, ..; several values are separated by "|" """
    image: Any = None
    """reference of the image as `samples.images.image_bytes` takes it; None for a problem without one"""

    @property
    def choices(self) -> dict[str, str]:
        """Options by letter."""
        return dict(zip(LETTERS, self.options, strict=False))
