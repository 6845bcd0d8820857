"""Values of a row as a question, a gold answer and image references."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rap_plugin.samples.formats.base import Row, RowProblem
from rap_plugin.samples.formats.columns import is_image
from rap_plugin.samples.pool import UnreadableValue
from rap_plugin.samples.sample import IMAGE

SOURCES = ("source", "data_source", "datasource", "imagesource", "dataset", "dataset_name")
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_HASHES = re.compile(r"^####(?!#)[ \t]*(\S.*)$", re.MULTILINE)
MAX_TAGS = 100
_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,8}\{")
_IMAGE_KEYS = ("bytes", "path", "image", "url", "image_url")
_OTHER_IMAGE_KEYS = ("file_name", "filename", "image_path", "img_path", "file", "base64", "data")


def question_of(row: Row, column: str) -> str:
    """The question as it stands in the row."""
    value = _value(row, column, "question")
    if value is None:
        raise RowProblem(f"the question is empty (column {column!r})")
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    value = _decoded(value, "question")
    if not isinstance(value, str):
        raise RowProblem(f"the question is a {type(value).__name__}, not a text (column {column!r})")
    return value


def gold_of(row: Row, column: str) -> str:
    """The gold answer as text; "" where the row has none (the ingest refuses it by name)."""
    return gold_text(_value(row, column, "gold answer"))


def gold_text(value: Any) -> str:
    """A gold answer as text: numbers as they print, a list of one unpacked, also where it is printed as text; of a worked solution the answer that its tag, box or
    last line "#### .." marks. Raises RowProblem."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and math.isinf(value):
        raise RowProblem(f"the gold answer is {value}, no number that a file meant", "ungradable_gold")
    value = _decoded(value, "gold answer")
    if isinstance(value, str):
        listed = printed_texts(value)
        if listed is None:
            return _marked(value).strip()
        value = listed
    if isinstance(value, (list, tuple)) and len(value) == 1:
        return gold_text(value[0])
    if isinstance(value, (list, tuple, Mapping)):
        raise RowProblem(
            f"the gold answer is a {type(value).__name__} of {len(value)}, not one answer", "ungradable_gold"
        )
    return str(value)


def label_text(value: Any) -> str:
    """`gold_text` for a reward, which needs a number for every response: what is no gold answer stays as it prints."""
    try:
        return gold_text(value)
    except RowProblem:
        return str(value)


def _marked(text: str) -> str:
    """What `<answer>` tags or a box mark as the answer of a text; the text where nothing does. Raises RowProblem for several."""
    opened = text.lower().count("<answer>")
    if opened > MAX_TAGS:  # before any is looked for: each would be looked for to the text's end
        raise RowProblem(f"the gold answer has {opened} <answer> tags, not one answer", "ungradable_gold")
    tagged = _TAGGED.findall(text)
    if len(tagged) == 1:
        text = tagged[0]
    boxes = list(_BOX.finditer(text))
    if len(tagged) > 1 or len(boxes) > 1:
        what = f"{len(tagged)} <answer> tags" if len(tagged) > 1 else f"{len(boxes)} boxes"
        raise RowProblem(f"the gold answer has {what}, not one answer", "ungradable_gold")
    if boxes:
        return _braced(text, boxes[0].end())
    # GSM8K's form; several such lines are headings.
    hashes = list(_HASHES.finditer(text)) if "####" in text else []
    return hashes[0][1] if len(hashes) == 1 and not text[hashes[0].end() :].strip() else text


def _braced(text: str, start: int) -> str:
    """What stands between a brace before `start` and the one that closes it; the whole text where none does."""
    depth = 1
    for at in range(start, len(text)):
        depth += (text[at] == "{") - (text[at] == "}")
        if not depth:
            return text[start:at]
    return text


def images_of(row: Row, column: str | None) -> tuple[Any, ...]:
    """The image references of a row: none, one or many, whatever they are wrapped in."""
    if column is None:
        return ()
    value = _value(row, column, "images")
    if isinstance(value, (list, tuple)):
        value = [_unwrapped(element) for element in value]
    return image_references(_unwrapped(value))


def _unwrapped(value: Any) -> Any:
    """What an object holds under a less usual key, or images under keys of their own ("<image_00>"). Raises RowProblem for
    another object: an image that is not understood is not "no image"."""
    if not isinstance(value, Mapping) or any(name in value for name in _IMAGE_KEYS) or not any(value.values()):
        return value
    other = next((name for name in _OTHER_IMAGE_KEYS if value.get(name)), None)
    if other is not None:
        return value[other]
    if all(map(is_image, value.values())):
        return list(value.values())
    keys = ", ".join(map(str, list(value)[:6]))
    raise RowProblem(f"the image is an object of {keys}, and none of {', '.join(_IMAGE_KEYS)}")


def image_references(value: Any) -> tuple[Any, ...]:
    """References from a path, bytes, mapping, PIL image, a list of those, or a JSON list as text; no nulls."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ()
    if isinstance(value, str):
        text = value.strip()
        if text.startswith(("[", "{")):
            try:
                listed = json.loads(text)
            except (ValueError, RecursionError):
                listed = printed_texts(text)
            return (text,) if listed is None else image_references(listed)
        return (text,) if text else ()
    if isinstance(value, (list, tuple)):
        if any(isinstance(element, (list, tuple)) for element in value):
            raise RowProblem("the images are a list of lists, not a list of images")
        return tuple(reference for element in value for reference in image_references(element))
    if isinstance(value, Mapping):
        for name in _IMAGE_KEYS:  # `datasets` makes an object of lists from a list of objects
            if isinstance(value.get(name), (list, tuple)) and any(value[name]):
                return image_references(value[name])
        return (value,) if any(value.get(name) for name in _IMAGE_KEYS) else ()
    if isinstance(value, UnreadableValue):
        raise RowProblem(f"the images cannot be read ({value.reason})")
    if isinstance(value, (bool, int, float)):
        raise RowProblem(f"the image is the {type(value).__name__} {value}, not an image or a path")
    return (value,)


_NUMBERED = re.compile(r"<\|?image[ _-]?(\d{1,2})\|?>", re.IGNORECASE)


def in_places(question: str, images: int | None = None) -> str:
    """A question whose images are named by number ("<image 1>", as MMMU has them) with `<image>` in their places.

    Where one is named again, they are not in order, or there are more `images` than named ones, the words "image 1" stay instead.
    """
    named = list(dict.fromkeys(int(match[1]) for match in _NUMBERED.finditer(question)))
    if not named or IMAGE in question:
        return question
    all_placed = named == list(range(1, len(named) + 1)) and (images is None or images <= len(named))
    placed = set(named) if all_placed else set()

    def told(match: re.Match[str]) -> str:
        number = int(match[1])
        if number not in placed:
            return f"image {number}"
        placed.remove(number)
        return IMAGE

    return _NUMBERED.sub(told, question)


_QUOTED = re.compile(r"""'([^'\\]*(?:\\.[^'\\]*)*)'|"([^"\\]*(?:\\.[^"\\]*)*)\"""", re.DOTALL)
_ESCAPED = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def printed_texts(text: str) -> list[str] | None:
    """The texts of a list as Python, NumPy and JSON print it, "['a', 'b']" (MMMU's options); None for another text, "[1, 2]" too."""
    text = text.strip()
    found = _quoted(text, ",") if text[:1] == "[" and text[-1] == "]" else None
    return found or None


def printed_pairs(text: str) -> dict[str, str] | None:
    """The texts of an object that Python printed, "{'A': 'a', 'B': 'b'}"; None for another text."""
    text = text.strip()
    found = _quoted(text, ",:") if text[:1] == "{" and text[-1] == "}" else None
    return dict(zip(found[::2], found[1::2], strict=True)) if found and len(found) % 2 == 0 else None


def _quoted(text: str, marks: str) -> list[str] | None:
    """The quoted texts inside brackets, in one pass; None where something else than `marks` stands between them."""
    at, end = 1, len(text) - 1
    found: list[str] = []
    while at < end:
        if text[at] in "'\"":
            match = _QUOTED.match(text, at, end)
            if match is None:
                return None
            found.append(_ESCAPED.sub(_unescaped, match[1] if match[1] is not None else match[2]))
            at = match.end()
        elif text[at].isspace() or text[at] in marks:
            at += 1
        else:
            return None
    return found


def _unescaped(match: re.Match[str]) -> str:
    said = match[1]
    if len(said) > 1:
        return chr(int(said[1:], 16))
    return _ESCAPES.get(said, said if said in "\\'\"/" else match[0])


def source_of(row: Row) -> str:
    """Where the problem comes from, if the row says so."""
    for name in SOURCES:
        if isinstance(row.get(name), str):
            return str(row[name])
    return ""


def good_values(rows: Sequence[Row], column: str) -> list[Any]:
    """The values of a column in some rows, without nulls and empty texts."""
    return [row[column] for row in rows if row.get(column) not in (None, "")]


def from_json(value: Any) -> Any:
    """A value that some tools store as JSON text, as an object; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _decoded(value: Any, what: str) -> Any:
    """Text that a file has as bytes, as text; anything else as it is."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise RowProblem(f"the {what} is bytes that are no UTF-8 text") from None


def _value(row: Row, column: str, what: str) -> Any:
    value = row.get(column)
    if isinstance(value, UnreadableValue):
        raise RowProblem(f"the {what} cannot be read (column {column!r}: {value.reason})")
    return value
