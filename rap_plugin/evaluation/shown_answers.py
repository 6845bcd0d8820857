"""`rap eval read`: what was read in each answer and why, to be checked by a person."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rap_plugin.errors import RapError, one_line
from rap_plugin.evaluation.benchmarks.base import (
    gold_letter,
    held,
    integer_of,
    is_number,
    list_in,
    maybe_text,
    options_in_columns,
    plain,
    texts_of,
    without_own_letters,
)
from rap_plugin.evaluation.item import BenchmarkItem, Kind
from rap_plugin.evaluation.judge import Judge
from rap_plugin.evaluation.measures import record_of
from rap_plugin.evaluation.predictions import ENDINGS, read_predictions
from rap_plugin.evaluation.results import FORMAT, VLMEVAL_SCORES, sound_record
from rap_plugin.evaluation.scoring import score_response
from rap_plugin.grading.extract import LETTERS, parse_options
from rap_plugin.samples.formats.base import RowProblem

KINDS: tuple[Kind, ...] = ("choice", "yes_no", "number", "maths", "wanted", "covered")
AROUND = 90
"""Characters shown on either side of what decided."""
MAX_VALUE = 40
"""Characters of a gold or an answer that a heading shows."""


@dataclass(frozen=True)
class ShownAnswer:
    """One response with its record: what was read, by which rule, and what it is worth."""

    record: Mapping[str, Any]
    response: str

    @property
    def outcome(self) -> str:
        """`read`, `unread` or `contradictory`."""
        return str(self.record.get("outcome", "read"))

    def context(self) -> tuple[str, str, str]:
        """(before, what decided, after); without a span the end of the response stands before."""
        span = self.record.get("span")
        if not span:
            return _cut(self.response, len(self.response) - 2 * AROUND, len(self.response), mark=True), "", ""
        start, end = int(span[0]), int(span[1])
        return (
            _cut(self.response, start - AROUND, start, mark=True),
            _cut(self.response, start, min(end, start + 4 * AROUND)),
            _cut(self.response, end, end + AROUND),
        )

    def heading(self) -> str:
        """ "7  wrong  gold 'B'  read 'A'  (boxed)"; long values are cut."""
        record = self.record
        value = f" {_short(str(record['said']))}" if record["said"] else ""
        reason = "(judged)" if record.get("judged") else f"({record['reason']})" if record["reason"] else ""
        return f"{record['id']}  {record['status']}  gold {_short(str(record['gold']))}  {self.outcome}{value}  {reason}".rstrip()

    def excerpt(self, width: int, opening: str = "[", closing: str = "]") -> list[str]:
        """What decided with what stands around it, in lines of at most `width` characters; the marks around what decided
        are not counted where they are not the brackets."""
        before, decided, after = self.context()
        if not (before + decided + after).strip():
            return ["    (nothing was said)"]
        # One character each, so that lines break in the same places in colour and without.
        marked = f"{before}\0{decided}\1{after}" if decided else before
        lines = textwrap.wrap(marked, width, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
        return [line.replace("\0", opening).replace("\1", closing) for line in lines]


def _short(value: str) -> str:
    return repr(value if len(value) <= MAX_VALUE else value[: MAX_VALUE - 1] + "…")


def _cut(text: str, start: int, end: int, *, mark: bool = False) -> str:
    part = text[max(0, start) : max(0, end)]
    plain = "".join(c if c.isprintable() else "⏎" if c == "\n" else " " for c in part)
    return f"{'…' if mark and start > 0 else ''}{plain}"


def read_answers(path: Path, judge: Judge | None = None) -> Iterator[ShownAnswer]:
    """The answers of a file: samples of lmms-eval (.jsonl), scores or predictions of rap-vlmeval, or JSON lines with
    `response` (or `prediction`) and `answer` (and, where there are any, `question`, `options`, `kind`, `precision`, `id`),
    which are scored now.

    A judge is asked about answers that are scored now and are unread, contradictory or undecided. Raises RapError when the
    file is none of these.
    """
    if path.suffix == ".jsonl":
        yield from _from_lines(path, judge)
        return
    if judge is not None:
        raise RapError(f"{path}: its answers are scored already; a judge is asked where they are scored (RAP_JUDGE)")
    scores, predictions = _files_of_a_prediction(path)
    found = _load(scores).get("records")
    records = found if isinstance(found, list) else []
    responses = dict(read_predictions(predictions))
    if len(records) != len(responses):
        raise RapError(
            f"{scores}: holds {len(records):,} records, its predictions {len(responses):,}; score them again"
        )
    # Records stand in the order of the predictions.
    for record, response in zip(map(sound_record, records), responses.values(), strict=True):
        if record is not None:
            yield ShownAnswer(record, response)


def _files_of_a_prediction(path: Path) -> tuple[Path, Path]:
    """(scores, predictions) of rap-vlmeval, given either."""
    if path.name.endswith(VLMEVAL_SCORES):
        stem = path.name.removesuffix(VLMEVAL_SCORES)
        found = [path.with_name(stem + ending) for ending in ENDINGS if path.with_name(stem + ending).is_file()]
        if not found:
            raise RapError(f"{path}: its predictions ({stem}.tsv) are not beside it, and scores hold no responses")
        return path, found[0]
    scores = path.with_name(path.stem + VLMEVAL_SCORES)
    if path.suffix in ENDINGS and scores.is_file():
        return scores, path
    raise RapError(
        f"{path}: no answers to read; give *_samples_*.jsonl of lmms-eval, predictions of rap-vlmeval with their "
        f"*{VLMEVAL_SCORES}, or JSON lines with `response` and `answer`"
    )


def _load(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RapError(f"{path}: cannot be read ({one_line(error, 100)})") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise RapError(f"{path}: no scores of rap-vlmeval")
    return content


def _from_lines(path: Path, judge: Judge | None) -> Iterator[ShownAnswer]:
    """Lines that are no answers are left out; a file without any is an error."""
    count = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                shown = _from_line(line, number, judge)
                if shown is not None:
                    count += 1
                    yield shown
    except (OSError, UnicodeDecodeError) as error:
        raise RapError(f"{path}: cannot be read ({one_line(error, 100)})") from None
    if not count:
        raise RapError(
            f"{path}: no line of it is an answer: a sample of lmms-eval's rap_ tasks, or `response` and `answer`"
        )


def _from_line(line: str, number: int, judge: Judge | None) -> ShownAnswer | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    record = sound_record(row.get("accuracy"))
    if record is not None and record["status"]:
        return ShownAnswer(record, _first_text(row.get("filtered_resps") or row.get("resps")))
    name = next((name for name in ("response", "prediction") if name in row), "")
    if not name or isinstance(row[name], dict):
        return None
    response = _first_text(row[name])
    item = item_of_row(row, str(number))
    grade = score_response(item, response, judge if item.gold else None)
    record = record_of(item, [grade])
    if not item.gold:
        record["status"] = "-" if grade.outcome == "read" else "unread"
    return ShownAnswer(record, response)


def _first_text(value: Any) -> str:
    """A response as text: the first of several, a number in its digits, "" for none."""
    while isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, str):
        return value
    return "" if isinstance(value, (list, dict, bool)) else plain(value)


def item_of_row(row: Mapping[str, Any], number: str) -> BenchmarkItem:
    """A problem out of a line of JSON; the kind is the one that the line names, where its gold is one of that kind,
    else what the gold and options ask for."""
    question = maybe_text(row, "question")
    options = _options_of(row) or tuple(parse_options(question).values())
    kind, gold = _kind_and_gold(maybe_text(row, "kind").lower(), _gold_of(row), options)
    if kind == "covered":
        gold = "\n".join(texts_of(row, "answer")) if isinstance(row.get("answer"), list) else gold
    try:
        precision = integer_of(row, "precision")
    except RowProblem:
        precision = None
    name = plain(held(row, "id", "pid")) or number
    return BenchmarkItem(name, question, gold, kind, options, precision)


def _options_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A list, also as text, options by letter, or columns A, B, ..; () where there are none."""
    listed = held(row, "options", "choices")
    if isinstance(listed, dict):
        listed = [listed.get(letter, listed.get(letter.lower())) for letter in LETTERS[: len(listed)]]
    elif isinstance(listed, str):
        listed = list_in(listed) or list(parse_options(listed).values())
    elif listed is None:
        listed = options_in_columns(row, LETTERS)
    texts = [plain(one) for one in listed] if isinstance(listed, (list, tuple)) else []
    while texts and not texts[-1]:
        texts.pop()
    return without_own_letters(texts)


def _gold_of(row: Mapping[str, Any]) -> str:
    """The gold as text; a list of one is that one, a longer one is written as a list."""
    gold = held(row, "answer", "gold")
    gold = list_in(gold) or gold if isinstance(gold, str) else gold
    if isinstance(gold, (list, tuple)):
        texts = [plain(one) for one in gold]
        return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    if isinstance(gold, bool):
        return "yes" if gold else "no"
    text = "" if isinstance(gold, dict) else plain(gold)
    return "" if text.lower() == "nan" else text


def _kind_and_gold(kind: str, gold: str, options: tuple[str, ...]) -> tuple[Kind, str]:
    polar = gold.lower().rstrip(".")
    if polar in ("yes", "no") and (kind == "yes_no" or not (options or kind in KINDS)):
        return "yes_no", polar
    if kind == "number" and is_number(gold):
        return "number", gold
    if kind in ("maths", "wanted", "covered"):
        return cast("Kind", kind), gold
    if not gold:
        named = kind == "choice" or (options and kind not in KINDS)
        return ("choice" if named else "yes_no" if kind == "yes_no" else "maths"), gold
    if kind == "number" or _is_segment(gold, options, kind):
        return "maths", gold
    try:
        return "choice", gold_letter(gold, options)
    except RowProblem:
        return "maths", gold


def _is_segment(gold: str, options: tuple[str, ...], kind: str) -> bool:
    """ "AB" is several options where options are known or a choice was asked for, else the name of a segment."""
    return len(gold) > 1 and gold.isalpha() and gold.isupper() and not options and kind != "choice"
