"""Options that a response marks one by one: "A: ❌ B: ✅", "wood: no, copper: yes", "A? No. B? Yes."."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rap_plugin.grading.reading.base import Reading, read

_RIGHT = r"✓|✔|✅|☑|yes\b|correct\b|right\b|true\b|fits\b"
_WRONG = r"✗|✘|❌|✖|☒|no\b(?!\.)|no(?=\.|$)|incorrect\b|wrong\b|false\b"
_MARK = rf"(?P<good>{_RIGHT})|(?P<bad>{_WRONG})"
# Most texts hold no marks, and a pattern with the options' names in it is dear to make.
_GOOD = re.compile(_RIGHT, re.IGNORECASE)
_BAD = re.compile(_WRONG, re.IGNORECASE)
_BETWEEN = r"\W{0,3}[?:|\-–—\s(]{1,6}[*_]{0,2}"
MAX_CHARS = 4_000
"""Characters of a response in which marks are looked for."""


def marked_option(text: str, start: int, options: Mapping[str, str], letters: str) -> Reading[str] | None:
    """The one option that a text marks as right while it marks others as wrong; None where it marks none so."""
    if len(text) > MAX_CHARS or not (_GOOD.search(text) and _BAD.search(text)):
        return None
    names = {re.escape(option.casefold()): letter for letter, option in options.items() if len(option) > 1}
    named = "|".join(sorted(names, key=len, reverse=True))
    pattern = re.compile(
        rf"(?<!\w)(?:(?P<letter>(?-i:[{re.escape(letters)}]))(?!\w){f'|(?P<name>{named})' if named else ''})"
        rf"{_BETWEEN}(?:{_MARK})",
        re.IGNORECASE,
    )
    good: dict[str, tuple[int, int]] = {}
    bad: set[str] = set()
    for match in pattern.finditer(text):
        name = match.groupdict().get("name")
        letter = match["letter"] or names[re.escape((name or "").casefold())]
        if match["good"]:
            good[letter] = (start + match.start(), start + match.end())
        else:
            bad.add(letter)
    if len(good) != 1 or not bad or bad & good.keys():
        return None
    letter, span = next(iter(good.items()))
    return read(letter, span, "the one option that it marks as right")
