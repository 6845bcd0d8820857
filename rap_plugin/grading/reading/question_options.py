"""Which options does a question list?"""

from __future__ import annotations

import re
from functools import lru_cache

LETTERS = "ABCDEFGHIJ"
"""Option letters of the benchmarks and pools that we know."""

MAX_QUESTION = 20_000
_STYLES = (
    re.compile(r"[(（]\s?([A-J])\s?[)）][.:：]?"),
    re.compile(r"^[ \t*\-]{0,6}([A-J])[*]{0,2}[.):：、．][*]{0,2}(?=\s|\S)", re.MULTILINE),
    re.compile(r"(?<![\w(.])([A-J])[.):：、．](?=\s)"),
    re.compile(r"(?<![\w(.])([A-J])[)、．](?=\S)"),
    re.compile(r"[(（]\s?([a-j])\s?[)）]"),
    re.compile(r"^[ \t]{0,6}([a-j])[.)](?=\s)", re.MULTILINE),
)
_MENTIONS = re.compile(
    r"\b[A-J]\s?(?:-|–|to|through)\s?[A-J]\b|\b[A-J],\s?[A-J]\b|\b[A-J],? or [A-J]\b|\boption'?s?'? letter",
)


def _longest_run(matches: list[re.Match[str]]) -> list[re.Match[str]]:
    """The longest run A, B, C, .. of neighbours; of two equally long ones the later, since options come last."""
    best: list[re.Match[str]] = []
    run: list[re.Match[str]] = []
    for match in matches:
        letter = match.group(1).upper()
        if letter == "A":
            run = [match]
        elif run and ord(letter) == ord(run[-1].group(1).upper()) + 1:
            run.append(match)
        else:
            run = []
        if len(run) >= len(best):
            best = list(run)
    return best


def parse_options(question: str) -> dict[str, str]:
    """Letter -> text of the options that a question lists, as "(A) 3 cm (B) 5 cm", "A. ..\\nB. ..", "A) ..",
    "A: .." or "(a) ..". The letters are upper case and run from A without a gap; texts can be empty when
    the options are in the image. {} when the question lists fewer than two.
    """
    return dict(_options_of(question[-MAX_QUESTION:]))


@lru_cache(maxsize=256)
def _options_of(text: str) -> tuple[tuple[str, str], ...]:
    # Every response to a problem asks for them again.
    best: list[re.Match[str]] = []
    for style in _STYLES:
        run = _longest_run(list(style.finditer(text)))
        if len(run) > max(1, len(best)):
            best = run
    options: dict[str, str] = {}
    for index, match in enumerate(best):
        last = index + 1 == len(best)
        end = len(text) if last else best[index + 1].start()
        body = text[match.end() : end].strip()
        if last or "\n\n" in body:
            # What follows the last option on its own line is an instruction, not the option.
            body = body.split("\n", 1)[0]
        options[match.group(1).upper()] = body.strip().rstrip(",;").strip()
    return tuple(options.items())


def mentions_letters(question: str) -> bool:
    """Whether a question asks for letters without listing their texts ("Select answers from A-E")."""
    return bool(_MENTIONS.search(question[-MAX_QUESTION:]))
