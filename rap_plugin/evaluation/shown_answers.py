"""`rap eval read`: what was read in each answer and why, to be checked by a person."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError, one_line
from rap_plugin.evaluation.benchmarks.base import gold_letter
from rap_plugin.evaluation.item import BenchmarkItem, Kind
from rap_plugin.evaluation.judge import Judge
from rap_plugin.evaluation.measures import record_of
from rap_plugin.evaluation.predictions import ENDINGS, read_predictions
from rap_plugin.evaluation.results import FORMAT, VLMEVAL_SCORES
from rap_plugin.evaluation.scoring import score_response
from rap_plugin.grading.extract import parse_options
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
    `response` and `answer` (and, where there are any, `question`, `options`, `kind`, `precision`, `id`), which are scored now.

    A judge is asked about answers that are scored now and are unread, contradictory or undecided. Raises RapError when the
    file is none of these.
    """
    if path.suffix == ".jsonl":
        yield from _from_lines(path, judge)
        return
    if judge is not None:
        raise RapError(f"{path}: its answers are scored already; a judge is asked where they are scored (RAP_JUDGE)")
    scores, predictions = _files_of_a_prediction(path)
    records = _load(scores).get("records", [])
    responses = dict(read_predictions(predictions))
    # Records stand in the order of the predictions.
    for record, response in zip(records, responses.values(), strict=False):
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
        with path.open(encoding="utf-8") as file:
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
    except ValueError:
        return None
    if not isinstance(row, dict):
        return None
    record = row.get("accuracy")
    if isinstance(record, dict) and "status" in record:
        return ShownAnswer(record, _first_text(row.get("filtered_resps") or row.get("resps")))
    if not isinstance(row.get("response"), str):
        return None
    item = item_of_row(row, str(number))
    grade = score_response(item, row["response"], judge if item.gold else None)
    record = record_of(item, [grade])
    if not item.gold:
        record["status"] = "-" if grade.outcome == "read" else "unread"
    return ShownAnswer(record, row["response"])


def _first_text(value: Any) -> str:
    while isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, str) else ""


def item_of_row(row: Mapping[str, Any], number: str) -> BenchmarkItem:
    """A problem out of a line of JSON; the kind is the one that the line names, else what the gold and options ask for."""
    question = str(row.get("question") or "")
    gold = str(row.get("answer", row.get("gold", "")) or "").strip()
    listed = row.get("options", row.get("choices"))
    options = tuple(map(str, listed)) if isinstance(listed, list) else tuple(parse_options(question).values())
    kind = row.get("kind")
    if kind not in KINDS:
        kind, gold = _kind_and_gold(gold, options)
    precision = int(row["precision"]) if isinstance(row.get("precision"), (int, float)) else None
    return BenchmarkItem(str(row.get("id", row.get("pid", number))), question, gold, kind, options, precision)


def _kind_and_gold(gold: str, options: tuple[str, ...]) -> tuple[Kind, str]:
    if gold.lower() in ("yes", "no") and not options:
        return "yes_no", gold.lower()
    try:
        return "choice", gold_letter(gold, options)
    except RowProblem:
        return ("choice" if options and not gold else "maths"), gold
