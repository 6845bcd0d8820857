"""What a benchmark is: where its rows are, how one is read, and what is measured over them."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.measures import Measure
from rap_plugin.grading.extract import LETTERS, match_option
from rap_plugin.samples.formats.base import RowProblem

Row = Mapping[str, Any]

MAX_MAPPING = 4000
"""Characters of a mapping or list that is given as text."""

_NOTHING = ("", "nan", "NaN", "None", "null", "NULL", "[]")
"""What tables write where a row has no list or number."""
_ONE_LETTER = re.compile(r"\W{0,4}[A-Ja-j]\W{0,4}")
_SEVERAL_CAPITALS = re.compile("[A-Z]{2,10}")
_SIDE_BY_SIDE = re.compile(r"""['"]\s+['"]""")
_AROUND_LETTERS = re.compile(
    r"\\(?:boxed|text|textbf|mathrm|mathbf)\b|\b(?:options?|choices?|answers?|and)\b|[\s()\[\]{}（）【】.．,，;；:：、/&'\"*$。]",
    re.IGNORECASE,
)
_LETTER_AND_TEXT = re.compile(r"\s*[(（]?\s?([A-Ja-j])\s?(?:[)）．、：]|[.:](?![A-Za-z]))\s*(\S.*)", re.DOTALL)

LETTER_ONLY = "Answer with the option's letter from the given choices directly."
ONE_PHRASE = "Answer the question using a single word or phrase."


@dataclass(frozen=True)
class Part:
    """A part that is evaluated as a task of its own."""

    name: str
    """"" when the benchmark has one part only"""
    rows: int
    """how many the official release has; another number is reported, not refused"""


@dataclass(frozen=True)
class HubSource:
    """Where the hub keeps the rows of one or more parts."""

    hub: str
    split: str
    config: str | None = None
    also: tuple[str, ...] = ()
    """other names of the repository, tried when the hub has it no more under `hub`"""

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order in which they are tried."""
        return (self.hub, *self.also)


def one_part(row: Row, where: str) -> Sequence[str]:
    """`parts_of` of a benchmark with one part."""
    return ("",)


def named_in(where: str, names: Sequence[str]) -> Sequence[str]:
    """The names in the last part of a place that has any: a file's own name says more than that of a folder above it."""
    for part in reversed(where.lower().replace("-", "_").split("/")):
        found = tuple(name for name in names if name in part)
        if found:
            return found
    return ()


@dataclass(frozen=True)
class Benchmark:
    """One benchmark: the only place that says what it is, to both hosts."""

    name: str
    title: str
    paper: str
    parts: tuple[Part, ...]
    sources: tuple[HubSource, ...]
    """on the hub; () for data that users bring themselves"""
    read: Callable[[Row, str], BenchmarkItem]
    """(row, part) -> item; raises RowProblem for a row that cannot be used"""
    parts_of: Callable[[Row, str], Sequence[str]] = one_part
    """(row, file or config/split that it came from) -> the parts that it belongs to; () leaves it out"""
    measures: tuple[Measure, ...] = ()
    """beside those that every benchmark has"""
    headline: str = "accuracy"
    """the measure that is compared and cited"""
    files: str = ""
    """pattern of the data files to read when a folder has others too (other splits, sources)"""
    dataset: str = ""
    """the name in VLMEvalKit where it is not the title"""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """name of a group of tasks to the parts in it"""
    pooled: tuple[str, ...] = ()
    """parts whose rows are also shown as one result"""
    direct: str | None = None
    """instruction of the official protocol, where it asks for a bare answer"""
    repeats: int = 1
    """responses per problem"""
    temperature: float = 0.0

    def part(self, name: str) -> Part:
        """The part of that name."""
        return next(part for part in self.parts if part.name == name)

    def task(self, part: str) -> str:
        """The name of a part's task: the benchmark, an underscore, the part."""
        return f"{self.name}_{part}" if part else self.name


def held(row: Row, *names: str) -> Any:
    """The first of these columns that holds something; None where none does. A float that is no number (NaN) is how
    tables write an empty cell."""
    for name in names:
        if not _empty(row.get(name)):
            return row[name]
    return None


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def text_of(row: Row, *names: str) -> str:
    """The first of these columns that the row has, as text without white space around it; 3.0 of a column of floats
    is "3"."""
    for name in names:
        value = held(row, name)
        if value is not None and not isinstance(value, (dict, list, tuple, bytes)):
            return plain(value)
    raise RowProblem(f"no column {' or '.join(map(repr, names))}")


def plain(value: Any) -> str:
    """One cell as text: whole floats without their ".0", nothing for an empty cell."""
    if _empty(value):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def maybe_text(row: Row, name: str) -> str:
    """The column as text, "" where the row has none."""
    value = held(row, name)
    return "" if isinstance(value, (dict, list, tuple, bytes)) else plain(value)


def texts_of(row: Row, name: str) -> tuple[str, ...]:
    """A column that holds a list of texts, or the text of one as JSON or as Python writes it; () where it is empty.
    Empty places at its end are no entries."""
    value = held(row, name)
    if isinstance(value, str):
        value = None if value.strip() in _NOTHING else list_in(value)
        if value == ():
            raise RowProblem(f"column {name!r} holds no list")
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise RowProblem(f"column {name!r} holds no list")
    texts = [plain(one) for one in value]
    while texts and not texts[-1]:
        texts.pop()
    return tuple(texts)


def list_in(text: str) -> Sequence[Any]:
    """The list that a text holds, as JSON or as Python writes it; () for anything else. A printed array ("['a' 'b']")
    is none: Python would join its entries into one."""
    if not text.lstrip().startswith("[") or _SIDE_BY_SIDE.search(text[:MAX_MAPPING]):
        return ()
    value = _literal(text)
    return value if isinstance(value, list) else ()


def _literal(text: str) -> Any:
    """A text as JSON or as a literal of Python; None where it is neither."""
    for read in (json.loads, ast.literal_eval):
        if len(text) <= MAX_MAPPING:
            try:
                return read(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    return None


def integer_of(row: Row, name: str, most: int = 20) -> int | None:
    """A column that holds an integer from 0 to `most`, as 1, 1.0, "1" or "1.0"; None where it is empty."""
    text = maybe_text(row, name)
    if text in _NOTHING:
        return None
    found = re.fullmatch(r"(\d{1,9})(?:\.0*)?", text)
    if found is None or int(found.group(1)) > most:
        raise RowProblem(f"column {name!r} holds {text[:20]!r}, no integer from 0 to {most}")
    return int(found.group(1))


def is_number(text: str) -> bool:
    """Whether a gold is a number in digits, as a scorer of numbers compares it: "12", "1,200", "-3.50", "45%"."""
    return (
        re.fullmatch(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?%?|[+-]?(?:\d{1,40}\.?\d*|\.\d+)%?", text.strip()) is not None
    )


def letter_of(text: str, count: int = len(LETTERS)) -> str:
    """An option letter as golds write it: "A", "(a)", "（B）", "C.", "Option D", "**B**"; several as "B, D", "B and D",
    "B、D", "['B', 'D']" or "BD", sorted and joined."""
    words = _AROUND_LETTERS.sub(" ", text[:200]).split()
    if len(words) == 1 and re.fullmatch(r"[A-J]{2,10}", words[0]) and list(words[0]) == sorted(set(words[0])):
        words = list(words[0])
    letters = sorted({word.upper() for word in words})
    if not letters or len(text) > 200 or any(re.fullmatch("[A-J]", letter) is None for letter in letters):
        raise RowProblem(f"the gold answer {text[:40]!r} is no option letter")
    if any(letter not in LETTERS[:count] for letter in letters):
        raise RowProblem(f"the gold answer {text[:40]!r} is none of the {count} options")
    return "".join(letters)


def gold_letter(text: str, options: Sequence[str]) -> str:
    """The letter of a gold that is an option letter, the text of exactly one option, or both ("B. 12 cm")."""
    choices = dict(zip(LETTERS, options, strict=False))
    found = None if _ONE_LETTER.fullmatch(text) else match_option(text, choices)
    if found is not None:
        return found
    if _SEVERAL_CAPITALS.fullmatch(text) and any(_SEVERAL_CAPITALS.fullmatch(option) for option in options):
        raise RowProblem(f"the gold answer {text[:40]!r} is none of the options")  # Segments, not letters.
    both = _LETTER_AND_TEXT.fullmatch(text[:2000].strip())
    if both is not None:
        letter = both.group(1).upper()
        if letter in choices and match_option(both.group(2), {letter: choices[letter]}):
            return letter
    return letter_of(text, len(options) or len(LETTERS))


def without_own_letters(options: Sequence[str]) -> tuple[str, ...]:
    """Options without the letters that they bring themselves, as "(A) red" or "B. blue"; as they are unless every one
    begins with its own."""
    found = [_LETTER_AND_TEXT.fullmatch(option) for option in options]
    own = [match.group(1).upper() if match else "" for match in found]
    if not options or own != list(LETTERS[: len(options)]):
        return tuple(options)
    return tuple(match.group(2).strip() for match in found if match)


def split_options(text: str) -> tuple[str, ...]:
    """The options of a text that holds nothing else: "A. 60; B. 120", "A．60；B．120", "C. 3;D.1". () for fewer than two.

    The letters run from A; each is looked for after the one before it, so that a letter inside an option starts none.
    """
    starts: list[re.Match[str]] = []
    for letter in LETTERS:
        after = starts[-1].end() if starts else 0
        mark = re.compile(rf"(?:^|[;；,，、|\n]|\s)\s{{0,4}}[(（]?{letter}\s?[.．、:：)）]\s{{0,4}}")
        found = mark.search(text, after)
        if found is None or (not starts and found.start() > 0 and text[: found.start()].strip()):
            break
        starts.append(found)
    if len(starts) < 2:
        return ()
    ends = [match.start() for match in starts[1:]] + [len(text)]
    return tuple(text[match.end() : end].strip(" \t\n;；,，") for match, end in zip(starts, ends, strict=True))


def mapping_of(row: Row, name: str) -> Mapping[str, Any]:
    """A column that holds a mapping, or the text of one as JSON or as Python writes it; {} for anything else."""
    value = row.get(name)
    value = _literal(value) if isinstance(value, str) else value
    return value if isinstance(value, dict) else {}


def options_in_columns(row: Row, letters: str = "ABCD") -> tuple[str, ...]:
    """Options in columns A, B, ..; the last ones of a row can be empty."""
    options = [maybe_text(row, letter) for letter in letters]
    while options and options[-1] in ("", "nan"):
        options.pop()
    return tuple(options)


def listed(options: Sequence[str]) -> str:
    """Options on lines of their own: "A. red"."""
    return "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=False))


def image_of(row: Row, *names: str) -> Any:
    """The first of these columns that holds something; RowProblem when none does."""
    for name in names:
        value = held(row, name)
        if value is not None and value != "":
            return value
    raise RowProblem(f"no image (column {' or '.join(map(repr, names))})")


def without_instruction(text: str) -> str:
    """Without a last line that asks for the bare letter: the prompt says how to answer."""
    kept = re.sub(r"\n?[^\n]*\bAnswer with the option'?s? letter[^\n]*$", "", text.strip(), flags=re.IGNORECASE)
    return kept.strip()


def group(values: Mapping[str, Any]) -> dict[str, str]:
    """Groups of an item: texts, lists joined by "|" (also those that stand there as text), nothing for empty values."""
    joined = {}
    for name in values:
        value = held(values, name)
        value = list_in(value) or value if isinstance(value, str) else value
        joined[name] = "|".join(map(plain, value)) if isinstance(value, (list, tuple)) else plain(value)
    return {name: value for name, value in joined.items() if value}
