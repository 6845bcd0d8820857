"""Labels of statements that a question numbers: "①③④", "(1)(3)(4)", "1, 3 and 4"."""

from __future__ import annotations

import re
from functools import lru_cache

from rap_plugin.grading.reading.notation import clean_math

MAX_CHARS = 300
"""A longer text gives no labels."""

MOST = 20
"""Items that one character names."""

_CIRCLED = {chr(first + n): n + 1 for first in (0x2460, 0x2474, 0x2776, 0x2780, 0x278A, 0x24F5) for n in range(10)}
_CIRCLED |= {chr(0x2460 + n): n + 1 for n in range(10, MOST)}
_SIGN = re.compile(f"[{''.join(_CIRCLED)}]")
_COMMAND = re.compile(r"\\(?:textcircled|circled|ding)\s?\{(?:\\[a-z]{1,12}\s?)?(\d{1,3})\}")
_DING = (172, 182, 192, 202)
"""Where the dingbats' circled numbers begin."""
_BETWEEN = r"(?:[\s,;、，；和与及&$]|and\b|or\b)*"
_MARK = r"<(\d{1,2})>"
_LIST = re.compile(rf"{_BETWEEN}{_MARK}(?:{_BETWEEN}{_MARK})*{_BETWEEN}")
_IN_BRACKETS = re.compile(r"\((\d{1,2})\)")
_DIGITS_ONLY = re.compile(r"[1-9]{1,9}|\d{1,2}(?:\s?(?:[,;、，；]|and)\s?\d{1,2}){1,19}")


def _marked(text: str) -> str:
    """Every circled number as "<n>"."""

    def of_command(match: re.Match[str]) -> str:
        number = int(match[1])
        if "ding" in match.group():
            number = next((number - first + 1 for first in _DING if first <= number < first + 10), 0)
        return f"<{number}>"

    return _SIGN.sub(lambda match: f"<{_CIRCLED[match.group()]}>", _COMMAND.sub(of_command, text))


@lru_cache(maxsize=1024)
def labels_of_gold(gold: str) -> frozenset[int] | None:
    """The labels that a gold answer is; None where it is another thing. One in brackets alone, "(2)", is a number."""
    if len(gold) > MAX_CHARS or (gold.isascii() and not {"(", "\\"} & {*gold}):
        return None
    text = _marked(gold)
    if text == gold:
        text = _IN_BRACKETS.sub(r"<\1>", clean_math(gold))
        if text.count("<") < 2:
            return None
    return _all(text) if _LIST.fullmatch(text.strip(" .。$")) else None


def gives_labels(text: str, labels: frozenset[int]) -> bool:
    """Whether an answer gives these labels: in circles or in brackets, where they stand together, else as numbers and nothing else."""
    if len(text) > MAX_CHARS:
        return False
    marked = _marked(text)
    if marked == text:
        clean = clean_math(text)
        if _DIGITS_ONLY.fullmatch(clean):
            found = frozenset(map(int, re.findall(r"\d+", clean)))
            return labels in (found, frozenset(map(int, clean)) if clean.isdigit() else found)
        marked = _IN_BRACKETS.sub(r"<\1>", clean)
    runs = [match.group() for match in _LIST.finditer(marked)]
    return len(runs) == 1 and _all(runs[0]) == labels


def _all(text: str) -> frozenset[int]:
    return frozenset(int(number) for number in re.findall(_MARK, text))
