"""Responses that repeat or go through the options: what is a list of options, and no choice of one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rap_plugin.grading.reading.option_letters import letters_only
from rap_plugin.grading.reading.option_texts import words_key
from rap_plugin.grading.reading.plain import Sentence

LABELLED_LINE = re.compile(r"\W{0,3}(?:\d{1,2}[.)]\s*)?(?:[Oo]ption |[Cc]hoice )?\(?([A-J])(?:[.):](?!\.)|\s-|$)")
_INVENTED = re.compile(r"\(([A-Z]{1,2})\)\s")
_LETTERS = re.compile(r"[A-J]")
_MARKED = re.compile(r"(?=.*[^A-J\s,;&().\w])(?:[A-J]|\W)+", re.DOTALL)
_OPENED = re.compile(r"\W{0,3}(\w)\W+")
_NUMBERED = re.compile(r"^\W*\d{1,2}[.)]\s*")
_INLINE = re.compile(r"(?<![A-Za-z])([A-J])(?:[.):]|\s?(?=\d{1,2}\.)|$)")


def enumerates(parts: Sequence[Sentence], options: Mapping[str, str], letters: str) -> bool:
    """Whether a response goes through the options one by one, so that a letter that opens a line chooses nothing."""
    opening = [m.group(1) for part in parts if (m := LABELLED_LINE.match(part.text)) and m.group(1) in letters]
    if len(opening) > 2 and opening[0] != letters[0] and opening[1:] == sorted(set(letters) - {opening[0]}):
        return False  # "C", then A, B and D in turn: the others are gone through
    inline = _INLINE.findall(" ".join(part.text for part in parts[:8])[:120])
    if len(inline) > 2 and len(set(inline)) > 2 and LABELLED_LINE.match(parts[0].text):
        return True
    if len(set(_LETTERS.findall(parts[0].text))) > 2 and _MARKED.fullmatch(parts[0].text):
        return True  # "▴ B, ▴ C, ▴ A": marks and letters, in no sentence
    texts = {words_key(_NUMBERED.sub("", part.text)) for part in parts if _NUMBERED.match(part.text)}
    if len(texts) > 2 and texts & {words_key(text) for text in options.values() if text}:
        return True
    alone = {choice for part in parts if (choice := letters_only(_NUMBERED.sub("", part.text), letters))}
    if len(alone) > 2:
        return True
    return len(set(opening)) > 1 and opening[0] == min(opening) and not letters_only(parts[0].text, letters)


def is_invented(sentence: Sentence, options: Mapping[str, str]) -> bool:
    """Whether a line is an option that the problem does not have: "(E) 72" after A to D."""
    match = _INVENTED.match(sentence.text)
    return match is not None and match.group(1) not in options


def without_listing(parts: list[Sentence], options: Mapping[str, str], letters: str) -> list[Sentence]:
    """Without lines that repeat the options of the question one after another."""
    own = {}
    for index, part in enumerate(parts):
        opened = _OPENED.match(part.text + " ")
        text = options.get(opened.group(1)) if opened else None
        if opened is None or text is None or (not text and len(part.text) > 4):
            continue
        mark = _OPENED.match(part.text)
        if words_key(part.text[mark.end() :] if mark else part.text) == words_key(text):
            own[index] = opened.group(1)
    listed = {
        index
        for index, letter in own.items()
        if own.get(index + 1) == _next(letter) or own.get(index - 1) == _previous(letter)
    }
    if len(listed) >= 2:
        parts = [part for index, part in enumerate(parts) if index not in listed]
    return parts


def _next(letter: str) -> str:
    return chr(ord(letter) + 1)


def _previous(letter: str) -> str:
    return chr(ord(letter) - 1)
