"""Answer options that stand beside a question: in one column, or in a column each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rap_plugin.samples.formats.base import Row, RowProblem
from rap_plugin.samples.formats.columns import is_image, plain_name
from rap_plugin.samples.formats.values import from_json, gold_text, in_places, printed_pairs, printed_texts
from rap_plugin.samples.pool import UnreadableValue

OPTIONS = ("options", "choices", "answerchoices", "candidates", "answeroptions", "multiplechoices")
SINGULAR = ("option", "choice")
"""Columns of answer options, as `plain_name` has them; the last may hold one option, and are then none."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

MAX_OPTIONS = 20_000
"""Characters of options in one text."""

GAP = 16
"""Characters between two options of a question that shows them: ", or ", or a line break with a mark."""

_IN_COLUMNS = re.compile(r"(?:(?:option|choice|opt)([a-z]|\d{1,2})|([a-z]))")
_MARK = re.compile(r"\(?([A-Z])[.):]\)?\s*")
_MARKED = re.compile(_MARK.pattern + r"(\S.*)", re.DOTALL)
"""An option, or a gold answer, with its letter: "(A) 3"."""

_LETTER = re.compile(r"(?:(?:option|choice|answer)\s*:?\s*)?\(?\s*([a-z])\s*\)?[.):]?", re.IGNORECASE)
_DRESS = re.compile(r"\\(?:text|mathrm|mathbf|textbf)\s?\{([^{}]*)\}|[$*]")
"""What a letter may stand in: "$\\text{B}$", "**B**"."""
_SEVERAL = re.compile(r"\(?[A-Z]\)?(?:(?:\s*[,;&/]\s*|\s+and\s+|\s+|)\(?[A-Z]\)?)+")
_COUNT = re.compile(r"(\d{1,2})(?:\.0)?")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a row, in the order of their letters."""

    name: str
    texts: tuple[str, ...]
    labels: tuple[str, ...] = ()
    """Numbers that the row itself gives them."""
    are_numbers: bool = False
    """Given as numbers, not as texts."""

    @property
    def bare(self) -> tuple[str, ...]:
        """The texts without letters of their own."""
        marks = [_MARKED.fullmatch(text) for text in self.texts]
        own = all(mark is not None and mark[1] == letter for mark, letter in zip(marks, LETTERS, strict=False))
        return tuple(mark[2] for mark in marks if mark is not None) if own else self.texts

    def lines(self, labels: Sequence[str] = LETTERS) -> list[str]:
        """One line an option, each with its letter or label."""
        if self.bare != self.texts:
            return list(self.texts)
        return [f"{label}. {text}" for label, text in zip(labels, self.texts, strict=False)]


def asked(question: str, gold: Any, row: Row, images: int, counted: bool = False) -> str:
    """The question as a model has to get it: with the options that it needs, and its images in their places.

    `gold` is the gold answer as the row has it; `counted` says that the golds of this pool count options. Raises RowProblem.
    """
    is_number = isinstance(gold, (int, float)) and not isinstance(gold, bool)
    return in_places(with_options(question, gold_text(gold), row, counted=counted or is_number), images)


def with_options(question: str, gold: str, row: Row, *, counted: bool = False) -> str:
    """The question with its options below, "A. .." each, where the row has them, the gold names some by letter, and the
    question does not show them all: without them nobody could answer.

    Raises RowProblem where the row has options, the gold's is not among them, and the question has no "B." or "(B)" of its own;
    and where the gold counts options, or may do so (`counted`): nobody can know from where.
    """
    marked_gold = _MARKED.fullmatch(gold)
    alone = _LETTER.fullmatch(gold)
    alone = alone or _LETTER.fullmatch(_DRESS.sub(r"\1", gold)) if len(gold) < 40 else alone
    named = marked_gold or alone
    letters = named[1].upper() if named else _several(gold)
    problem = ""
    for name, found in _columns(row):
        options = read_options(name, found)
        if options is None or (len(options.texts) == 1 and plain_name(name) in SINGULAR):
            if plain_name(name) not in SINGULAR:
                problem = problem or f"column {name!r} holds no list of texts"
            continue
        if not letters:
            return _labelled(question, gold, options, counted)
        if options.texts == tuple(LETTERS[: len(options.texts)]):
            return question  # what they stand for is in the picture
        if any(LETTERS.index(letter) >= len(options.texts) for letter in letters):
            if len(letters) > 1 or letters in map(str.upper, options.texts):
                return question  # "M" among "K" and "M" is the answer itself
            problem = problem or f"column {name!r} holds {len(options.texts)} options"
            continue
        if len(letters) > 1 and gold in options.texts:
            return question  # "AC" among "AC" and "BD"
        _refuse_two_meanings(gold, options)
        if marked_gold and gold not in options.texts and options.bare[LETTERS.index(letters)] != marked_gold[2]:
            return question
        if _shows(question, options.bare):
            return question
        return "\n".join([question, *options.lines()])
    if problem and len(letters) == 1 and not re.search(rf"(?<!\w){letters}\s?[.):]", question):
        raise RowProblem(f"the gold answer is the letter {letters}, and {problem}: nobody can know what {letters} is")
    return question


def counts_options(rows: Sequence[Row], answer: str) -> bool:
    """Whether the golds of some rows count their options, as those do that are no option's text."""
    for row in rows:
        try:
            with_options("", gold_text(row.get(answer)), row)
        except RowProblem as problem:
            if _COUNTED in problem.reason:
                return True
    return False


def read_options(name: str, found: Any) -> Options | None:
    """The options in the forms that pools have them in; None where the form is another."""
    labelled = _pairs(found)
    if labelled is not None and all(is_image(text) for _, text in labelled):
        return None  # a file's name says nothing
    if labelled is None:
        return None
    while labelled and labelled[-1][1] is None:  # Arrow gives all rows the keys of one
        labelled.pop()
    if not 1 <= len(labelled) <= len(LETTERS) or not all(isinstance(text, (str, int, float)) for _, text in labelled):
        return None
    labels = [str(label).strip().upper() if label is not None else "" for label, _ in labelled]
    texts = [str(text).strip() for _, text in labelled]
    marks = [_MARKED.match(text) for text in texts]
    if not any(labels) and all(marks):
        own = [mark[1] for mark in marks if mark]
        labels = own if _are_letters(own) else labels
    if _are_letters(labels):
        return Options(name, tuple(text for _, text in sorted(zip(labels, texts, strict=True))))
    if all(label in set(LETTERS) for label in labels):
        return None  # one is missing, or there twice
    counted = len(set(labels)) == len(labels) and all(label.isdecimal() for label in labels)
    are_numbers = not any(isinstance(text, str) for _, text in labelled)
    return Options(name, tuple(texts), tuple(labels) if counted else (), are_numbers)


def _are_letters(labels: Sequence[str]) -> bool:
    return sorted(labels) == list(LETTERS[: len(labels)])


def _columns(row: Row) -> list[tuple[str, Any]]:
    """Columns of the row that hold options, with their values; the lettered columns A, B, .. as one."""
    known = {plain_name(name): name for name in reversed(list(row))}
    names = [known[wanted] for wanted in (*OPTIONS, *SINGULAR) if wanted in known]
    found = [(name, from_json(row[name])) for name in names]
    return [(name, value) for name, value in found if not _is_empty(value)] or _lettered(row)


def _lettered(row: Row) -> list[tuple[str, Any]]:
    """The options of the columns A, B, .., option_a, .., "Choice A", .. or option1, ..; none where there are not two."""
    kinds: dict[str, dict[str, str]] = {}
    for name in row:
        match = _IN_COLUMNS.fullmatch(plain_name(name))
        if match is not None:
            mark = match[1] or match[2]
            kinds.setdefault(plain_name(name).removesuffix(mark), {})[mark] = name
    for columns in kinds.values():
        first = next((mark for mark in ("a", "0", "1") if mark in columns), "")
        texts: list[Any] = []
        for place in range(len(LETTERS)):
            mark = chr(ord("a") + place) if first == "a" else str(int(first or 0) + place)
            value = row.get(columns.get(mark, ""))
            if _is_empty(value):
                break
            texts.append(value)
        if first and len(texts) > 1 and all(isinstance(text, (str, int, float)) for text in texts):
            return [(columns[first], texts)]
    return []


def _pairs(found: Any) -> list[tuple[Any, Any]] | None:
    """(label or None, text) of every option; None where the form is not known."""
    if isinstance(found, Mapping):
        labels, texts = found.get("label"), found.get("text")
        if isinstance(labels, list) and isinstance(texts, list):
            return list(zip(labels, texts, strict=True)) if len(labels) == len(texts) else None
        return sorted(found.items(), key=lambda pair: pair[1] is None)
    if isinstance(found, str):
        if len(found) < MAX_OPTIONS and (pairs := printed_pairs(found)) is not None:
            return list(pairs.items())
        texts = printed_texts(found) if len(found) < MAX_OPTIONS else None
        texts = texts if texts is not None else _told_apart(found)
        return [(None, text) for text in texts] if texts else None
    if not isinstance(found, (list, tuple)):
        return None
    if all(isinstance(option, Mapping) for option in found):
        return [_pair(option) for option in found]
    return [(None, option) for option in found]


def _pair(option: Mapping[str, Any]) -> tuple[Any, Any]:
    """(label or None, text or None) of an option that is an object, {"label": "A", "text": ..} or {"A": ..}."""
    filled = {name: value for name, value in option.items() if value is not None}  # Arrow gives all the keys of each
    if len(filled) == 1 and len(str(next(iter(filled)))) == 1:
        return next(iter(filled.items()))
    label = next((filled[name] for name in ("label", "key", "letter", "id") if name in filled), None)
    return label, next((filled[name] for name in _TEXTS if name in filled), None)


_TEXTS = ("text", "value", "content")


def _told_apart(text: str) -> list[str]:
    """The options of one text, "A. Left; B. Right" or a line each, as they are marked; none where a mark is not told surely."""
    if len(text) >= MAX_OPTIONS:
        return []
    marks = [(match.start(), match[1]) for match in re.finditer(r"(?<!\w)\(?([A-Z])[.):]", text)]
    starts = [start for start, _ in marks]
    if len(marks) < 2 or "".join(letter for _, letter in marks) != LETTERS[: len(marks)] or text[: starts[0]].strip():
        return []
    parts = [
        text[start:end].strip().rstrip(";,|").strip() for start, end in zip(starts, [*starts[1:], None], strict=True)
    ]
    return parts if all(map(_MARKED.fullmatch, parts)) else []


def _several(gold: str) -> str:
    """The letters of a gold answer that names several options, "A, C" or "AC"; none where it is something else."""
    letters = re.sub(r"and|[^A-Z]", "", gold) if len(gold) < 200 and _SEVERAL.fullmatch(gold) else ""
    return letters if letters == "".join(sorted(set(letters))) else ""


def _labelled(question: str, gold: str, options: Options, counted: bool) -> str:
    """The question of a gold that is no letter: with its options where it is the label of one. Raises RowProblem for a count."""
    match = _COUNT.fullmatch(gold)
    count = len(options.texts)
    if match is None or count < 2:
        return question
    if match[1] in options.labels:
        return question if _shows(question, options.bare) else "\n".join([question, *options.lines(options.labels)])
    is_text = gold in options.texts and not (counted and not options.are_numbers)
    if (
        int(match[1]) > count
        or is_text
        or all(re.search(rf"(?<![\w.]){n + 1}\s?[.):](?!\d)", question) for n in range(count))
    ):
        return question
    raise RowProblem(
        f"the gold answer is {gold}, and column {options.name!r} holds {count} options: {_COUNTED} from 0 or from 1 is not said; "
        f"{_WRITE}"
    )


_COUNTED = "whether it counts them"
_WRITE = "write the option's letter or text"


def _refuse_two_meanings(gold: str, options: Options) -> None:
    """Raises RowProblem where the gold is the letter of one option and the text of another."""
    if gold in options.texts and len(gold) == 1 and options.texts.index(gold) != LETTERS.index(gold.upper()):
        raise RowProblem(
            f"the gold answer {gold} is the letter of one option in column {options.name!r} and the text of another; write it out"
        )


def _shows(question: str, wanted: Sequence[str]) -> bool:
    """Whether a question has these options in their order, as whole words and close together: "2" is not in "16 of 24"."""
    start = -1
    for _ in range(200):
        start = question.find(wanted[0], start + 1)
        if start < 0:
            return False
        if _follow(question, start, wanted):
            return True
    return False


def _follow(question: str, start: int, wanted: Sequence[str]) -> bool:
    end = start
    for number, text in enumerate(wanted):
        found = re.search(
            rf"(?<!\w){re.escape(text)}(?!\w)", question[max(end - 1, 0) : end + len(text) + GAP * (number > 0) + 1]
        )
        if found is None or not text:
            return False
        end = max(end - 1, 0) + found.end()
    return True


def _is_empty(value: Any) -> bool:
    """No options: null, nothing, or what pandas makes of an empty cell."""
    if value is None or isinstance(value, (UnreadableValue, float)):
        return value is None or isinstance(value, UnreadableValue) or value != value
    return isinstance(value, (str, list, tuple, Mapping)) and (
        not value or str(value).strip().lower() in ("", "[]", "nan")
    )
