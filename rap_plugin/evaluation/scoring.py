"""Is a response to a benchmark's problem right? Rules first, a judge only where it was asked for.

Everything here may be called from any thread, by many threads at once.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rap_plugin.evaluation.grade import BenchmarkGrade, BenchmarkVerdict
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.rules.covered_text import read_covered_text
from rap_plugin.evaluation.rules.phrases import read_phrases
from rap_plugin.grading import GradeItem, Grader, GradingOptions, open_grader
from rap_plugin.grading.extract import extract_choice, final_answer
from rap_plugin.grading.reading.formulas import is_words
from rap_plugin.grading.reading.numbers import read_number, same_to_precision
from rap_plugin.grading.reading.yes_no import read_yes_no

if TYPE_CHECKING:
    from rap_plugin.evaluation.judge import Judge


def score_response(item: BenchmarkItem, response: str, judge: Judge | None = None) -> BenchmarkGrade:
    """Grades one response by the rules of the item's kind. A judge, if there is one, is asked about what rules could
    not read or decide, and about words that differ from the gold's words."""
    grade = RULES[item.kind](item, response)
    if judge is None or not response.strip() or not _is_open(item, grade):
        return grade
    return judge.regrade(item, response, grade)


def _is_open(item: BenchmarkItem, grade: BenchmarkGrade) -> bool:
    other_words = item.kind == "maths" and grade.verdict == "wrong" and is_words(item.gold)
    return grade.verdict in ("unread", "unjudged") or other_words


def _grade_choice(item: BenchmarkItem, response: str) -> BenchmarkGrade:
    letters = extract_choice(response, item.choices or None)
    if letters is None:
        return BenchmarkGrade(0.0, "unread", "")
    return _binary(letters == item.gold, letters)


def _grade_yes_no(item: BenchmarkItem, response: str) -> BenchmarkGrade:
    word = read_yes_no(response, item.question).value
    return BenchmarkGrade(0.0, "unread", "") if word is None else _binary(word == item.gold, word)


def _grade_number(item: BenchmarkItem, response: str) -> BenchmarkGrade:
    said = read_number(response, item.question).value
    if said is not None:
        return _binary(same_to_precision(item.gold, said, item.precision or 0), said.text)
    return BenchmarkGrade(0.0, "unread", final_answer(response) or "")


def _grade_maths(item: BenchmarkItem, response: str) -> BenchmarkGrade:
    grade = _math_grader(item.rtol).grade([GradeItem(response, item.gold, item.question)])[0]
    if grade.verdict in ("ungradable", "timeout"):
        return BenchmarkGrade(None, "unjudged", grade.extracted, reason=grade.reason)
    if grade.verdict == "wrong" and not final_answer(response):
        return BenchmarkGrade(0.0, "unread", "")
    return _binary(grade.verdict == "right", grade.extracted)


def _grade_phrases(item: BenchmarkItem, response: str) -> BenchmarkGrade:
    score, answer = read_phrases(response, item.gold)
    if score is None:
        return BenchmarkGrade(
            None, "unjudged", answer, reason="rules cannot tell whether these words mean the gold answer"
        )
    if not answer:
        return BenchmarkGrade(0.0, "unread", "")
    return BenchmarkGrade(score, "right" if score == 1 else "wrong" if score == 0 else "partial", answer)


def _grade_covered_text(item: BenchmarkItem, response: str) -> BenchmarkGrade:
    """The score is the share of exactly restored texts."""
    restored = [read_covered_text(response, text) for text in item.gold.split("\n")]
    score = sum(one.exact for one in restored) / len(restored)
    jaccard = sum(one.jaccard for one in restored) / len(restored)
    found = " / ".join(one.text for one in restored)
    verdict: BenchmarkVerdict = (
        "right" if score == 1 else "partial" if score else "wrong" if found.strip(" /") else "unread"
    )
    return BenchmarkGrade(score, verdict, found, extra={"jaccard": jaccard})


RULES = {
    "choice": _grade_choice,
    "yes_no": _grade_yes_no,
    "number": _grade_number,
    "maths": _grade_maths,
    "wanted": _grade_phrases,
    "covered": _grade_covered_text,
}


def _binary(right: bool, extracted: str) -> BenchmarkGrade:
    return BenchmarkGrade(1.0, "right", extracted) if right else BenchmarkGrade(0.0, "wrong", extracted)


_graders: dict[float, Grader] = {}
_lock = threading.Lock()


def _math_grader(rtol: float) -> Grader:
    with _lock:
        if rtol not in _graders:
            _graders[rtol] = open_grader("math", options=GradingOptions(rtol=rtol))
        return _graders[rtol]
