"""The clauses of a PGPS9K diagram as words (modality gap, arXiv 2510.22836)."""

from __future__ import annotations

from collections.abc import Sequence

LINE = "line"
LIES = "lieson"
CIRCLE = "\\odot"


def clauses_of(structural: Sequence[str], semantic: Sequence[str]) -> list[str]:
    """Structural clauses in words (without those that add nothing), then the semantic ones as they are."""
    said = [words for clause in structural if (words := in_words(clause))]
    return [*said, *(clause.strip() for clause in semantic if clause.strip())]


def in_words(clause: str) -> str | None:
    """A structural clause in words; None for one that adds nothing ("line A B") or has an unknown form.

    "line m lieson A B" -> "A, B lie on line m"; "line A P B" -> "P is on line AB"; "line A P Q B" -> "P, Q are on
    line AB"; "\\odot O lieson A B" -> "A, B lie on \\odot O".
    """
    tokens = clause.split()
    if len(tokens) >= 4 and tokens[0] in (LINE, CIRCLE) and tokens[2] == LIES:
        return f"{', '.join(tokens[3:])} lie on {tokens[0]} {tokens[1]}"
    if len(tokens) >= 4 and tokens[0] == LINE and LIES not in tokens:
        first, *inner, last = tokens[1:]
        return f"{', '.join(inner)} {'is' if len(inner) == 1 else 'are'} on line {first}{last}"
    return None
