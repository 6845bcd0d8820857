"""VCR (arXiv 2406.06462): restore texts that are partly covered in an image; exact match and Jaccard index."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

MAX_TOKENS = 3000
"""Of a response; covered texts have five or so."""

_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W_]+(?:['’][^\W_]+)*|[^\w\s]|_")


@dataclass(frozen=True, slots=True)
class Restored:
    """How well one covered text was restored."""

    text: str
    """the stretch of the response nearest to the covered text"""
    exact: bool
    jaccard: float


def tokens_of(text: str) -> list[str]:
    """Words with their apostrophes, marks, and single Chinese characters. The official scorer takes spaCy's tokens:
    other boundaries inside contractions and Chinese words, the same for both sides of every comparison here."""
    return _TOKEN.findall(text)


def read_covered_text(response: str, covered: str) -> Restored:
    """The stretch of the answer with as many tokens as the covered text that is nearest to it by character
    similarity; exact when all tokens agree, jaccard over the two sets of tokens. The thought does not count."""
    wanted = tokens_of(covered)
    # A thought that never ended has no answer behind it.
    said = tokens_of(response.rsplit("</think>", 1)[-1].split("<think>", 1)[0])[-MAX_TOKENS:]
    if not wanted:
        return Restored("", False, 0.0)
    known = set(wanted)
    target = " ".join(wanted)
    matcher = SequenceMatcher(None, "", target)
    best, nearest = 0.0, []
    for start in range(len(said) - len(wanted) + 1):
        stretch = said[start : start + len(wanted)]
        if known.isdisjoint(stretch):
            continue
        if stretch == wanted:
            nearest = stretch
            break
        matcher.set_seq1(" ".join(stretch))
        if matcher.real_quick_ratio() > best and matcher.ratio() > best:
            best, nearest = matcher.ratio(), stretch
    found = set(nearest)
    return Restored(" ".join(nearest), nearest == wanted, len(found & known) / len(found | known))
