"""Is a response to a benchmark's problem right? Rules first, a judge only where it was asked for.

Answers are read by the readers of `grading.reading`, the same as in a selection. Everything here may be called from any
thread, by many threads at once.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rap_plugin.errors import one_line
from rap_plugin.evaluation.grade import BenchmarkGrade, BenchmarkVerdict
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.rules.covered_text import read_covered_text
from rap_plugin.evaluation.rules.echoes import without_echo
from rap_plugin.evaluation.rules.phrases import is_refusal, read_phrases
from rap_plugin.grading import GradeItem, Grader, GradingOptions, open_grader
from rap_plugin.grading.extract import normalize_text, read_final_answer, read_formula, read_option, read_yes_no
from rap_plugin.grading.reading.base import RULE_ERROR, Reading
from rap_plugin.grading.reading.numbers import read_number
from rap_plugin.grading.reading.precision import same_to_precision

if TYPE_CHECKING:
    from rap_plugin.evaluation.judge import Judge


def score_response(item: BenchmarkItem, response: str, judge: Judge | None = None) -> BenchmarkGrade:
    """Grades one response by the rules of the item's kind; never raises, whatever the response says.

    A judge, if there is one, is asked about responses that are unread, contradictory or unjudged, and no others.
    """
    try:
        grade = RULES[item.kind](item, without_echo(item, response))
    except Exception as error:
        reason = f"{RULE_ERROR}: {one_line(error, 200)}"
        grade = BenchmarkGrade(0.0, "unread", "", reason=reason, outcome="unread")
    if judge is None or grade.verdict not in ("unread", "unjudged") or not response.strip():
        return grade
    return judge.regrade(item, response, grade)


def _grade_choice(item: BenchmarkItem, response: str) -> BenchmarkGrade:
    options = _without_repeats(item.choices)
    reading = read_option(response, options or None, question=item.question)
    if reading.value is None:
        return _unread(reading)
    return _read(reading, _same_choice(item, reading.value), reading.value)


def _without_repeats(options: dict[str, str]) -> dict[str, str]:
    """Options whose text another one has already get no text: an answer in that text means the first."""
    known: set[str] = set()
    kept = {}
    for letter, text in options.items():
        words = normalize_text(text)
        kept[letter] = "" if words in known else text
        known.add(words)
    return kept


def _same_choice(item: BenchmarkItem, letters: str) -> bool:
    """The gold's letters, or the letter of another option with the very text of the gold option."""
    if letters == item.gold:
        return True
    chosen, gold = item.choices.get(letters, ""), item.choices.get(item.gold, "")
    return bool(chosen) and normalize_text(chosen) == normalize_text(gold)


def _grade_yes_no(item: BenchmarkItem, response: str) -> BenchmarkGrade:
    reading = read_yes_no(response, item.question)
    if reading.value is None:
        return _unread(reading)
    return _read(reading, reading.value == item.gold, reading.value)


def _grade_number(item: BenchmarkItem, response: str) -> BenchmarkGrade:
    reading = read_number(response, item.question)
    if reading.value is None:
        return _unread(reading)
    right = same_to_precision(item.gold, reading.value, item.precision or 0, item.question)
    return _read(reading, right, reading.value.text)


def _grade_maths(item: BenchmarkItem, response: str) -> BenchmarkGrade:
    polar = item.gold.strip(" .").lower()
    if polar in ("yes", "no"):
        return _grade_yes_no(replace(item, gold=polar), response)
    reading = read_formula(response)
    asked = GradeItem(response, item.gold, item.question, rtol=item.rtol, rounded=True)
    grade = _math_grader().grade([asked])[0]
    if grade.verdict in ("ungradable", "timeout"):
        return BenchmarkGrade(None, "unjudged", grade.extracted, reason=grade.reason, span=reading.span)
    if grade.verdict == "wrong" and reading.value is None:
        return _unread(reading)
    return _read(reading, grade.verdict == "right", grade.extracted)


def _grade_phrases(item: BenchmarkItem, response: str) -> BenchmarkGrade:
    reading = read_final_answer(response)
    if reading.value is None:
        return _unread(reading)
    score, answer = read_phrases(response, item.gold)
    if score is None and is_refusal(answer):
        return BenchmarkGrade(0.0, "unread", "", reason="a refusal", outcome="unread", span=reading.span)
    if score is None:
        reason = "rules cannot tell whether these words mean the gold answer"
        return BenchmarkGrade(None, "unjudged", answer, reason=reason, span=reading.span)
    verdict: BenchmarkVerdict = "right" if score == 1 else "wrong" if score == 0 else "partial"
    return BenchmarkGrade(score, verdict, answer, reason=reading.reason, span=reading.span)


def _grade_covered_text(item: BenchmarkItem, response: str) -> BenchmarkGrade:
    """The score is the share of exactly restored texts."""
    restored = [read_covered_text(response, text) for text in item.gold.split("\n")]
    score = sum(one.exact for one in restored) / len(restored)
    extra = {"jaccard": sum(one.jaccard for one in restored) / len(restored)}
    found = " / ".join(one.text for one in restored)
    if not found.strip(" /"):
        return BenchmarkGrade(0.0, "unread", "", reason="none of the covered words", outcome="unread", extra=extra)
    verdict: BenchmarkVerdict = "right" if score == 1 else "partial" if score else "wrong"
    return BenchmarkGrade(score, verdict, found, reason="nearest words", extra=extra)


RULES = {
    "choice": _grade_choice,
    "yes_no": _grade_yes_no,
    "number": _grade_number,
    "maths": _grade_maths,
    "wanted": _grade_phrases,
    "covered": _grade_covered_text,
}


def _read(reading: Reading[Any], right: bool, extracted: str) -> BenchmarkGrade:
    grade = BenchmarkGrade(0.0, "wrong", extracted, reason=reading.reason, span=reading.span)
    return replace(grade, score=1.0, verdict="right") if right else grade


def _unread(reading: Reading[Any]) -> BenchmarkGrade:
    return BenchmarkGrade(0.0, "unread", "", reason=reading.reason, outcome=reading.outcome, span=reading.span)


_lock = threading.Lock()


@functools.cache
def _open_math_grader() -> Grader:
    return open_grader("math", options=GradingOptions())


def _math_grader() -> Grader:
    with _lock:
        return _open_math_grader()
