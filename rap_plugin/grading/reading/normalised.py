"""Words brought to one form, so that two spellings of the same words are equal."""

from __future__ import annotations

import re
import unicodedata

_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|mbox|textrm)\s{0,4}\{([^{}]{0,2000})\}")
# A sign before a number and a point inside one are part of it; every other mark is punctuation.
_PUNCTUATION = re.compile(r"(?<!\w)-(?=\d)|(?<=\d)\.(?=\d)|[%]|([^\w\s])|_")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_DASHES = str.maketrans({"−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-"})


_SIGNS = {
    " parallel ": r"∥|‖|(?<![:/])//(?!/)|\\parallel(?![A-Za-z])",
    " perpendicular ": r"⊥|⟂|\\(?:perp|bot)(?![A-Za-z])",
    " congruent ": r"≌|≅|\\cong(?![A-Za-z])",
    " similar ": r"∽|∼|(?<=\w)\s?~\s?(?=[\w△\\])|\\sim(?![A-Za-z])",
    " triangle ": r"△|∆|▲|\\triangle(?![A-Za-z])",
    " angle ": r"∠|\\angle(?![A-Za-z])",
    " circle ": r"⊙|\\odot(?![A-Za-z])",
    " parallelogram ": r"▱",
    " infinity ": r"∞|\\infty(?![A-Za-z])",
    " plus ": r"(?<=[A-Za-z])\s?\^?\{?\+{1,2}\}?(?=\W|$)",
    " minus ": r"(?:(?<=\b[A-Z])|(?<=\b[A-Z][A-Za-z]))(?:-|\s?\^\s?\{?-\}?)(?=\W*$)",
    " sharp ": r"(?<=\b[A-Z])#(?=\W|$)|♯",
    " flat ": r"♭",
    " to ": r"(?<=\w)\s?(?:→|⟶|\\(?:right|longright)arrow(?![A-Za-z])|\\to(?![A-Za-z]))",
    " from ": r"(?<=\w)\s?(?:←|⟵|\\leftarrow(?![A-Za-z]))",
}
_SIGN = re.compile("|".join(f"({pattern})" for pattern in _SIGNS.values()))
_WORDS_OF_SIGNS = list(_SIGNS)


def _signs_as_words(text: str) -> str:
    """Signs between the names of figures as words: what is parallel is not perpendicular."""
    return _SIGN.sub(lambda match: _WORDS_OF_SIGNS[(match.lastindex or 1) - 1], text)


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
    plain = _signs_as_words(unwrap_text_commands(text)).translate(_DASHES)
    folded = unicodedata.normalize("NFKC", plain).casefold()
    bare = _PUNCTUATION.sub(lambda m: " " if m.group(1) or m.group() == "_" else m.group(), folded)
    words = " ".join(_ARTICLES.sub(" ", bare).split())
    return words or " ".join(bare.split()) or " ".join(folded.split())
