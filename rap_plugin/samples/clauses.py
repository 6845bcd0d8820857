"""The clauses of a PGPS9K diagram as words (PGPS9K arXiv 2302.11097; modality gap arXiv 2510.22836)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

LINE = "line"
LIES = "lieson"
CIRCLE = "\\odot"
MAX_CLAUSE = 1000
"""Characters of a clause that is read; the longest of PGPS9K is far below, more is damage."""


@dataclass(frozen=True)
class ReadClauses:
    """The clauses of one diagram: those that became facts, and those that were dropped, each of them counted."""

    facts: tuple[str, ...] = ()
    silent: int = 0
    """Dropped because they add nothing: `line A B`, and empty ones."""
    unreadable: tuple[str, ...] = field(default=())
    """Dropped because their form is not known, or they are no text at all; cut to a readable length."""


def read_clauses(structural: Iterable[Any], semantic: Iterable[Any], *, parity: bool = False) -> ReadClauses:
    """Structural clauses in words, then the semantic ones as they are. Never raises: what cannot be read is counted.

    `parity` reproduces the published code: see `in_words`; and semantic clauses keep their white space.
    """
    facts: list[str] = []
    unreadable: list[str] = []
    silent = 0
    for clauses, is_structural in ((structural, True), (semantic, False)):
        for clause in clauses:
            if not isinstance(clause, str) or len(clause) > MAX_CLAUSE or _half_a_character(clause):
                unreadable.append(repr(clause)[:80])
            elif not clause.strip() or (is_structural and _is_segment(clause)):
                silent += 1
            elif not is_structural:
                facts.append(clause if parity else clause.strip())
            elif words := in_words(clause, parity=parity):
                facts.append(words)
            else:
                unreadable.append(clause[:80])
    return ReadClauses(tuple(facts), silent, tuple(unreadable))


def clauses_of(structural: Iterable[Any], semantic: Iterable[Any]) -> list[str]:
    """The facts of `read_clauses`, corrected."""
    return list(read_clauses(structural, semantic).facts)


def in_words(clause: str, *, parity: bool = False) -> str | None:
    """A structural clause in words; None for one that adds nothing ("line A B") or has an unknown form.

    "line m lieson A B" -> "A, B lie on line m"; "line A P B" -> "P is on line AB"; "line A P Q B" -> "P, Q are on
    line AB" (under `parity` "P, Q are on line QB": the published code names the last two points as the ends);
    "\\odot O lieson A B" -> "A, B lie on \\odot O".
    """
    tokens = clause.split()
    if len(tokens) >= 4 and tokens[0] in (LINE, CIRCLE) and tokens[2] == LIES:
        return f"{', '.join(tokens[3:])} lie on {tokens[0]} {tokens[1]}"
    if len(tokens) >= 4 and tokens[0] == LINE and LIES not in tokens:
        first, *inner, last = tokens[1:]
        start = inner[-1] if parity and len(inner) > 1 else first
        return f"{', '.join(inner)} {'is' if len(inner) == 1 else 'are'} on line {start}{last}"
    return None


def _is_segment(clause: str) -> bool:
    tokens = clause.split()
    return len(tokens) == 3 and tokens[0] == LINE and tokens[2] != LIES


def _half_a_character(text: str) -> bool:
    """A lone surrogate, which no model can be given and no file can hold."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)
