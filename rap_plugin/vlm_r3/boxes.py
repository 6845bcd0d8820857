"""Reads the box that a model asks to look at: `{"bbox_2d": [x1, y1, x2, y2]}`, with `"image": 2` in front among several.

What a model writes is hostile: only the end of the text is looked at, and one call of the JSON reader decides.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

STOPS: Final = ("]}", "]\n}", "] }", '"}', "</answer>")
"""Texts that end a segment: a box may be complete, or the answer is."""

ANSWER_END: Final = "</answer>"

TAIL: Final = 600
"""Characters at the end of a text that a box may take; longer ones are no boxes."""

BEHIND: Final = 8
"""Characters that may follow a box: the token that closed it may hold more than the bracket."""

_KEY = re.compile(r"""["'](?:bbox_2d|bbox|box_2d|box)["']\s{0,8}:""")
_OPENINGS = 3
"""Braces in front of the key that are tried as the start of the object."""


@dataclass(frozen=True, slots=True)
class AskedBox:
    """A box as the model wrote it, in the coordinates that its family writes."""

    corners: tuple[float, float, float, float]
    """x1, y1, x2, y2."""
    image: int | None
    """Which of the prompt's images is meant, counted from 1; None where it does not say."""
    text: str
    """The JSON, as written."""


@dataclass(frozen=True, slots=True)
class BadBox:
    """Something that was meant as a box and is none."""

    reason: str
    """What is wrong, in words for the model."""
    text: str


def read_box(text: str) -> AskedBox | BadBox | None:
    """The box that a text ends with; None where it asks for none. Never raises; time is bounded by `TAIL`."""
    tail = text[-TAIL:]
    keys = list(_KEY.finditer(tail))
    if not keys:
        return None
    key = keys[-1]
    close = tail.find("}", key.end())
    if close < 0:
        return BadBox("the box is not closed", tail[key.start() :])
    if len(tail.rstrip()) - close - 1 > BEHIND:
        return None  # the model has written on behind it: it is not asking now
    # Nested JSON may close several braces: the object reaches to the last of them.
    last = tail.rfind("}", close)
    written = tail[max(0, tail.rfind("{", 0, key.start())) : last + 1]
    start = key.start()
    for _ in range(_OPENINGS):
        start = tail.rfind("{", 0, start)
        if start < 0:
            break
        try:
            found, _ = json.JSONDecoder().raw_decode(tail, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return _checked(found, tail[start : last + 1])
    return BadBox("the box is no valid JSON", written)


def _checked(found: Mapping[str, Any], text: str) -> AskedBox | BadBox:
    names = [name for name in ("bbox_2d", "bbox", "box_2d", "box") if name in found]
    if not names:
        return BadBox("the box stands inside another object", text)
    corners = found[names[0]]
    if not isinstance(corners, list):
        return BadBox("the box is no list of four numbers", text)
    if any(isinstance(one, list) for one in corners):
        return BadBox("the box is a list of lists; ask for one box at a time", text)
    if len(corners) != 4:
        return BadBox(f"the box has {len(corners)} numbers instead of four", text)
    if not all(_is_number(one) for one in corners):
        return BadBox("the box holds something that is no number", text)
    x1, y1, x2, y2 = map(float, corners)
    if x1 >= x2 or y1 >= y2:
        return BadBox("x1 has to be smaller than x2, and y1 smaller than y2", text)
    image = found.get("image")
    if image is not None and (isinstance(image, bool) or not isinstance(image, int)):
        return BadBox('"image" is no whole number', text)
    return AskedBox((x1, y1, x2, y2), image, text)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False
