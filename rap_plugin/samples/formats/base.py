"""What a format is: how a row of some pool reads as a problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rap_plugin.samples.sample import RawSample, Status

Row = Mapping[str, Any]
FactsOf = Callable[[Row], Sequence[str]]
"""The facts of a row in words; raises RowProblem where they cannot be read."""


class RowProblem(Exception):
    """One row that is no usable problem under its format: its status and one readable line."""

    def __init__(self, reason: str, status: Status = "malformed_row") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status: Status = status


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """The columns that the user named (`--question`, `--answer`, `--images`), or that a format's `choose` found.

    None leaves the choice to the format.
    """

    question: str | None = None
    answer: str | None = None
    images: str | None = None
    further_images: tuple[str, ...] = ()
    """image_2, image_3, .. where a format found image_1."""
    further_question: str | None = None
    """`input` where a format found `instruction`: both together are the question."""
    counted: bool = False
    """The gold answers of the first rows count options: a number is no option's text then."""
    images_given: bool = False
    """The user named the column of the images: no other is looked at."""


def as_given(columns: Sequence[str], first_rows: Sequence[Row], choice: ColumnChoice) -> ColumnChoice:
    """The columns as the user named them."""
    return choice


@dataclass(frozen=True)
class Format:
    """One kind of pool.

    `detect(columns, first_rows)` says whether a pool looks like it. `read(row, columns)` reads one row and
    raises RowProblem for a malformed one. `choose(columns, first_rows, choice)`, called once per pool, completes
    the user's column names; it raises RapError where it cannot tell.
    """

    name: str
    description: str
    detect: Callable[[Sequence[str], Sequence[Row]], bool]
    read: Callable[[Row, ColumnChoice], RawSample]
    choose: Callable[[Sequence[str], Sequence[Row], ColumnChoice], ColumnChoice] = as_given
    without_own_instruction: Callable[[str], str] = str
    """A question without what the pool itself asks for in it; the question as it is where a pool asks for nothing."""
    facts: FactsOf | None = None
    """The facts of the image in words, where the pool brings them; read only where they are asked for."""
