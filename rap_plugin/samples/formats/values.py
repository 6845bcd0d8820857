"""Values of a row as a question, a gold answer and image references."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rap_plugin.samples.formats.base import Row, RowProblem
from rap_plugin.samples.pool import UnreadableValue
from rap_plugin.samples.sample import IMAGE

SOURCES = ("source", "data_source", "datasource", "imagesource", "dataset", "dataset_name")
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,8}\{")
_IMAGE_KEYS = ("bytes", "path", "image", "url", "image_url")


def question_of(row: Row, column: str) -> str:
    """The question as it stands in the row."""
    value = _value(row, column, "question")
    if value is None:
        raise RowProblem(f"the question is empty (column {column!r})")
    if not isinstance(value, str):
        raise RowProblem(f"the question is a {type(value).__name__}, not a text (column {column!r})")
    return value


def gold_of(row: Row, column: str) -> str:
    """The gold answer as text; "" where the row has none (the ingest refuses it by name)."""
    return gold_text(_value(row, column, "gold answer"))


def gold_text(value: Any) -> str:
    """A gold answer as text: numbers as they print, a list of one unpacked; of a worked solution the answer that its tag or box marks."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and math.isinf(value):
        raise RowProblem(f"the gold answer is {value}, no number that a file meant", "ungradable_gold")
    if isinstance(value, str):
        return _marked(value).strip()
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
    tagged = _TAGGED.findall(text)
    if len(tagged) == 1:
        text = tagged[0]
    boxes = list(_BOX.finditer(text))
    if len(tagged) > 1 or len(boxes) > 1:
        what = f"{len(tagged)} <answer> tags" if len(tagged) > 1 else f"{len(boxes)} boxes"
        raise RowProblem(f"the gold answer has {what}, not one answer", "ungradable_gold")
    return _braced(text, boxes[0].end()) if boxes else text


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
    return () if column is None else image_references(_value(row, column, "images"))


def image_references(value: Any) -> tuple[Any, ...]:
    """References from a path, bytes, mapping, PIL image, a list of those, or a JSON list as text; no nulls."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ()
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            try:
                listed = json.loads(text)
            except (ValueError, RecursionError):
                return (text,)
            return image_references(listed)
        return (text,) if text else ()
    if isinstance(value, (list, tuple)):
        if any(isinstance(element, (list, tuple)) for element in value):
            raise RowProblem("the images are a list of lists, not a list of images")
        return tuple(reference for element in value for reference in image_references(element))
    if isinstance(value, Mapping):
        return (value,) if any(value.get(name) for name in _IMAGE_KEYS) else ()
    if isinstance(value, UnreadableValue):
        raise RowProblem(f"the images cannot be read ({value.reason})")
    if isinstance(value, (bool, int, float)):
        raise RowProblem(f"the image is the {type(value).__name__} {value}, not an image or a path")
    return (value,)


_NUMBERED = re.compile(r"<image[ _-]?(\d{1,2})>")


def in_places(question: str) -> str:
    """A question whose images are named by number ("<image 1>", as MMMU has them) with `<image>` in their places.

    Where one is named again, or they are not in order, the words "image 1" stay instead.
    """
    named = list(dict.fromkeys(int(match[1]) for match in _NUMBERED.finditer(question)))
    if not named or IMAGE in question:
        return question
    placed = set(named) if named == list(range(1, len(named) + 1)) else set()

    def told(match: re.Match[str]) -> str:
        number = int(match[1])
        if number not in placed:
            return f"image {number}"
        placed.remove(number)
        return IMAGE

    return _NUMBERED.sub(told, question)


OPTIONS = ("options", "choices", "answer_choices", "candidates")
"""Columns of answer options."""

_WITH_LETTER = re.compile(r"\(?([A-Z])[.):]\)?\s*(\S.*)")
"""A gold that is an option with its letter, "(A) 3"."""

MAX_OPTIONS = 20_000
"""Characters of options in one text."""


def with_options(question: str, gold: str, row: Row) -> str:
    """The question with its options below, "A. .." each, where a column has them, the gold is the letter of one, and the
    question does not show them all: without them nobody could answer.

    Raises RowProblem where a column has options, the gold's is not among them, and the question has no "B." or "(B)" of its own.
    """
    marked_gold = _WITH_LETTER.fullmatch(gold)
    letter = marked_gold[1] if marked_gold else gold.strip("() .").upper()
    if len(letter) != 1 or not "A" <= letter <= "Z":
        _refuse_a_count(question, gold, row)
        return question
    problem = ""
    for name in OPTIONS:
        found = from_json(row.get(name))
        if found in (None, "", [], {}, ()):
            continue
        texts = _option_texts(found)
        shown = [str(text).strip() for text in texts if isinstance(text, (str, int, float))]
        if not shown or len(shown) != len(texts) or len(shown) > 26:
            problem = problem or f"column {name!r} holds no list of texts"
            continue
        if ord(letter) - ord("A") >= len(shown):
            if letter in (text.upper() for text in shown):
                return question  # "M" among "K" and "M" is the answer itself
            problem = problem or f"column {name!r} holds {len(shown)} options"
            continue
        if all(text in question for text in shown):
            return question
        if marked_gold and not {gold, marked_gold[2]} & {shown[ord(letter) - ord("A")]}:
            return question
        marked = all(re.match(rf"\(?{chr(65 + i)}[.):]", text) for i, text in enumerate(shown))
        lines = shown if marked else [f"{chr(65 + i)}. {text}" for i, text in enumerate(shown)]
        return "\n".join([question, *lines])
    if problem and not re.search(rf"(?<!\w){letter}\s?[.):]", question):
        raise RowProblem(f"the gold answer is the letter {letter}, and {problem}: nobody can know what {letter} is")
    return question


def _refuse_a_count(question: str, gold: str, row: Row) -> None:
    """Raises RowProblem where the gold counts the options of a column: nobody can know from where."""
    if not re.fullmatch(r"\d{1,2}", gold):
        return
    for name in OPTIONS:
        texts = [str(text).strip() for text in _option_texts(from_json(row.get(name)))]
        if len(texts) > 1 and int(gold) <= len(texts) and gold not in texts and not all(t in question for t in texts):
            raise RowProblem(
                f"the gold answer is {gold}, and column {name!r} holds {len(texts)} options: whether it counts them from 0 or "
                "from 1 is not said; write the option's letter or text"
            )


_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_PRINTED = re.compile(rf"\[\s*(?:(?:{_QUOTED})\s*,\s*)*(?:{_QUOTED})\s*,?\s*\]")
"""A list of texts as Python prints it: MMMU has its options so."""
_MARKED = re.compile(r"\(?[A-Z][.):]\s*\S")


def _option_texts(found: Any) -> list[Any]:
    """The texts of answer options in the forms that pools have them in; none where the form is another."""
    if isinstance(found, Mapping):
        labels, texts = found.get("label"), found.get("text")
        return list(texts) if isinstance(labels, list) and isinstance(texts, list) else list(found.values())
    if isinstance(found, str):
        if len(found) < MAX_OPTIONS and _PRINTED.fullmatch(found.strip()):
            return [re.sub(r"\\(.)", r"\1", quoted[1:-1]) for quoted in re.findall(_QUOTED, found)]
        lines = [line.strip() for line in found.splitlines() if line.strip()]
        return lines if len(lines) > 1 and all(map(_MARKED.match, lines)) else []
    if not isinstance(found, (list, tuple)):
        return []
    return [
        next((option[name] for name in ("text", "value", "content") if name in option), None)
        if isinstance(option, Mapping)
        else option
        for option in found
    ]


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


def _value(row: Row, column: str, what: str) -> Any:
    value = row.get(column)
    if isinstance(value, UnreadableValue):
        raise RowProblem(f"the {what} cannot be read (column {column!r}: {value.reason})")
    return value
