"""Sentences that say something of one option and deny it of all others: "C. Saturn has rings; A. Mars and B. Venus do not"."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rap_plugin.grading.reading.base import Reading, read
from rap_plugin.grading.reading.option_texts import words_key
from rap_plugin.grading.reading.special_options import DOUBT

MAX_CHARS = 1_000
"""A longer text is not looked at."""

_CLAUSE = re.compile(r";\s+|,\s+(?:but|while|whereas|unlike)\s+|\s+(?:while|whereas)\s+", re.IGNORECASE)
_NAMED = re.compile(r"(?<![A-Za-z0-9])(?:\(([A-J])\)|([A-J])[.):])\s{0,2}")
_DENIES = re.compile(r"\b(?:not|never|neither|none|cannot|lacks?|fails?|without)\b|n't\b", re.IGNORECASE)


def contrasted_option(text: str, start: int, options: Mapping[str, str], question: str) -> Reading[str] | None:
    """The option of which a line says what it denies of every other one, each named by its letter and its words; None
    where it does not go through all of them so, or the question itself asks for what is denied. The text begins at `start`."""
    if len(options) < 3 or len(text) > MAX_CHARS or "\n" in text.strip() or len(_NAMED.findall(text)) < len(options):
        return None
    if DOUBT.search(text) or _DENIES.search(question) or "except" in question:
        return None
    said: list[str] = []
    denied: list[str] = []
    begin = 0
    for end in [*(match.start() for match in _CLAUSE.finditer(text)), len(text)]:
        clause = text[begin:end]
        begin = end
        (denied if _DENIES.search(clause) else said).extend(_named_in(clause, options))
    if len(said) == 1 and sorted([*said, *denied]) == sorted(options):
        return read(said[0], (start, start + len(text)), "it denies of the others what it says of one")
    return None


def _named_in(clause: str, options: Mapping[str, str]) -> list[str]:
    """The options that stand in a clause with their letter before their words."""
    found = []
    for match in _NAMED.finditer(clause):
        letter = match.group(1) or match.group(2)
        text = words_key(options.get(letter, ""))
        if text and f"{words_key(clause[match.end() :])} ".startswith(f"{text} "):
            found.append(letter)
    return found
