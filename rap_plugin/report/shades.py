"""A response's tokens shaded by the attention that they hold, the token that psi is of marked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rap_plugin.evidence.variants import SIGMA, Variant
from rap_plugin.rollout import TokenAttention

LEVELS = 5
"""Shades; the last one is for tokens that ACE would flag."""
TEXT = 900
"""Characters of a shaded response; of a longer one the part around the marked token."""
LONGEST_HOT = 40
TAG = 24
"""Characters of a piece's element."""


@dataclass(frozen=True)
class Shade:
    """A piece of a response."""

    text: str
    level: int
    """0 (none) to `LEVELS`."""
    hot: bool


@dataclass(frozen=True)
class Shaded:
    """A response in pieces."""

    pieces: tuple[Shade, ...]
    hot: str
    """The marked token."""
    share: float
    """Of the attention, over its best rows."""

    @property
    def size(self) -> int:
        """About the characters that it takes in a page."""
        return sum(len(piece.text) + TAG * (piece.level > 0 or piece.hot) for piece in self.pieces)


def flagging_share(variant: Variant, lambda_a: float) -> float:
    """The share of the attention at which psi = lambda_a in a window of w rows: (lambda_a ^ (1 / w)) / sigma.

    For the suffix reduction, whose number of rows differs, the share at which its factors are 1.
    """
    if variant.reduction == "suffix" or not 0 < lambda_a < math.inf:
        return 1 / SIGMA
    return float(lambda_a ** (1 / variant.window) / SIGMA)


def shaded(text: str, seen: TokenAttention, limit: float) -> Shaded:
    """The pieces of a response; neighbours of one shade are one piece. A text that is shorter than its tokens say is not
    cut anywhere else."""
    ends = [min(end, len(text)) for end in seen.ends]
    starts = [0, *ends[:-1]]
    low, high = 0, len(text)
    if len(text) > TEXT:
        low = max(0, starts[seen.hot] - 2 * TEXT // 3)
        high = min(len(text), low + TEXT)
    pieces: list[Shade] = [Shade("… ", 0, False)] if low else []
    for at, (start, end) in enumerate(zip(starts, ends, strict=True)):
        part = _printable(text[max(start, low) : min(end, high)])
        if not part:
            continue
        level, hot = _level(seen.shares[at], limit), at == seen.hot
        last = pieces[-1] if pieces else None
        if last and last.level == level and not last.hot and not hot:
            pieces[-1] = Shade(last.text + part, level, False)
        else:
            pieces.append(Shade(part, level, hot))
    rest = _printable(text[max(low, ends[-1] if ends else 0) : high]) + (" …" if high < len(text) else "")
    if rest:
        pieces.append(Shade(rest, 0, False))
    hot_text = _printable(text[starts[seen.hot] : ends[seen.hot]])[:LONGEST_HOT]
    return Shaded(tuple(pieces), hot_text, seen.shares[seen.hot])


def _level(share: float, limit: float) -> int:
    if math.isnan(share):
        return 0
    return min(LEVELS, int(LEVELS * share / limit))


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
