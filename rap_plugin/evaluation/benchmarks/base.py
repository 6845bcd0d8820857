"""What a benchmark is: where its rows are, how one is read, and what is measured over them."""

from __future__ import annotations

import ast
import json
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
"""Characters of a mapping that is given as text."""

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


def text_of(row: Row, *names: str) -> str:
    """The first of these columns that the row has, as text without white space around it."""
    for name in names:
        value = row.get(name)
        if value is not None and not isinstance(value, (dict, list, bytes)):
            return str(value).strip()
    raise RowProblem(f"no column {' or '.join(map(repr, names))}")


def maybe_text(row: Row, name: str) -> str:
    """The column as text, "" where the row has none."""
    value = row.get(name)
    return "" if value is None or isinstance(value, (dict, list, bytes)) else str(value).strip()


def texts_of(row: Row, name: str) -> tuple[str, ...]:
    """A column that holds a list of texts; () where it is empty."""
    value = row.get(name)
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise RowProblem(f"column {name!r} holds no list")
    return tuple(str(one).strip() for one in value)


def letter_of(text: str, count: int = len(LETTERS)) -> str:
    """An option letter as golds write it: "A", "(a)", "(B)", "C."; several as "B, D", sorted and joined."""
    letters = sorted(set(re.findall(r"\b[A-Ja-j]\b", text.upper())))
    if not letters or re.sub(r"[A-J()\[\].,;\s]|AND", "", text.upper()):
        raise RowProblem(f"the gold answer {text[:40]!r} is no option letter")
    if any(letter not in LETTERS[:count] for letter in letters):
        raise RowProblem(f"the gold answer {text[:40]!r} is none of the {count} options")
    return "".join(letters)


def gold_letter(text: str, options: Sequence[str]) -> str:
    """The letter of a gold that is an option letter, or the text of exactly one option."""
    try:
        return letter_of(text, len(options) or len(LETTERS))
    except RowProblem:
        found = match_option(text, dict(zip(LETTERS, options, strict=False)))
        if found is None:
            raise
        return found


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
    if isinstance(value, str) and len(value) <= MAX_MAPPING:
        for read in (json.loads, ast.literal_eval):
            try:
                value = read(value)
                break
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    return value if isinstance(value, dict) else {}


def listed(options: Sequence[str]) -> str:
    """Options on lines of their own: "A. red"."""
    return "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=False))


def image_of(row: Row, *names: str) -> Any:
    """The first of these columns that holds something; RowProblem when none does."""
    for name in names:
        if row.get(name) is not None and row[name] != "":
            return row[name]
    raise RowProblem(f"no image (column {' or '.join(map(repr, names))})")


def without_instruction(text: str) -> str:
    """Without a last line that asks for the bare letter: the prompt says how to answer."""
    kept = re.sub(r"\n?[^\n]*\bAnswer with the option'?s? letter[^\n]*$", "", text.strip(), flags=re.IGNORECASE)
    return kept.strip()


def group(values: Mapping[str, Any]) -> dict[str, str]:
    """Groups of an item: texts, lists joined by "|", nothing for empty values."""
    joined = {
        name: "|".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        for name, value in values.items()
        if value is not None
    }
    return {name: value for name, value in joined.items() if value}
