"""Words brought to one form, so that two spellings of the same words are equal."""

from __future__ import annotations

import re
import unicodedata

_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|mbox|textrm)\s{0,4}\{([^{}]{0,2000})\}")
# A sign before a number and a point inside one are part of it; every other mark is punctuation.
_PUNCTUATION = re.compile(r"(?<!\w)-(?=\d)|(?<=\d)\.(?=\d)|[%]|([^\w\s])|_")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_DASHES = str.maketrans({"−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-"})


def unwrap_text_commands(text: str) -> str:
    """Without `\\text{..}` and its relatives, contents kept."""
    for _ in range(3):
        text, count = _TEXT_COMMAND.subn(r" \1 ", text)
        if not count:
            break
    return text


def normalize_text(text: str) -> str:
    """Folded case, no articles, no punctuation, single spaces. Articles stay when nothing else is there,
    so that the answer "A" is not nothing."""
    plain = unwrap_text_commands(text).translate(_DASHES)
    folded = unicodedata.normalize("NFKC", plain).casefold()
    bare = _PUNCTUATION.sub(lambda m: " " if m.group(1) or m.group() == "_" else m.group(), folded)
    words = " ".join(_ARTICLES.sub(" ", bare).split())
    return words or " ".join(bare.split()) or " ".join(folded.split())
