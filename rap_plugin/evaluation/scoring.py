"""Is a response to a benchmark's problem right? Rules first, a judge only where it was asked for.

Everything here may be called from any thread, by many threads at once.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rap_plugin.evaluation.item import Item
from rap_plugin.evaluation.mark import Mark, Status
from rap_plugin.evaluation.rules.covered_text import read_covered
from rap_plugin.evaluation.rules.numbers import read_number, same_to_precision
from rap_plugin.evaluation.rules.phrases import read_wanted
from rap_plugin.evaluation.rules.yes_no import read_yes_no
from rap_plugin.grading import GradeItem, Grader, GradingOptions, open_grader
from rap_plugin.grading.extract import extract_choice, final_answer
from rap_plugin.grading.reading.formulas import is_words

if TYPE_CHECKING:
    from rap_plugin.evaluation.judge import Judge


def score_response(item: Item, response: str, judge: Judge | None = None) -> Mark:
    """Scores one response by the rules of the item's kind; a judge, if there is one, is asked about what rules could
    not read or decide, and about words that differ from the gold's words."""
    mark = RULES[item.kind](item, response)
    if judge is None or not response.strip() or not _is_open(item, mark):
        return mark
    return judge.mark(item, response, mark)


def _is_open(item: Item, mark: Mark) -> bool:
    other_words = item.kind == "maths" and mark.status == "wrong" and is_words(item.gold)
    return mark.status in ("unread", "unjudged") or other_words


def _choice(item: Item, response: str) -> Mark:
    letters = extract_choice(response, item.choices or None)
    if letters is None:
        return Mark(0.0, "unread", "")
    return _binary(letters == item.gold, letters)


def _yes_no(item: Item, response: str) -> Mark:
    word = read_yes_no(response)
    return Mark(0.0, "unread", "") if word is None else _binary(word == item.gold, word)


def _number(item: Item, response: str) -> Mark:
    said, text = read_number(response)
    if said is not None:
        return _binary(same_to_precision(item.gold, said, item.precision or 0), text)
    return Mark(0.0, "unread", text)


def _maths(item: Item, response: str) -> Mark:
    grade = _math_grader(item.rtol).grade([GradeItem(response, item.gold, item.question)])[0]
    if grade.verdict in ("ungradable", "timeout"):
        return Mark(None, "unjudged", grade.extracted, reason=grade.reason)
    if grade.verdict == "wrong" and not final_answer(response):
        return Mark(0.0, "unread", "")
    return _binary(grade.verdict == "right", grade.extracted)


def _wanted(item: Item, response: str) -> Mark:
    score, said = read_wanted(response, item.gold)
    if score is None:
        return Mark(None, "unjudged", said, reason="rules cannot tell whether these words mean the gold answer")
    if not said:
        return Mark(0.0, "unread", "")
    return Mark(score, "right" if score == 1 else "wrong" if score == 0 else "partial", said)


def _covered(item: Item, response: str) -> Mark:
    """The score is the share of exactly restored texts."""
    restored = [read_covered(response, text) for text in item.gold.split("\n")]
    score = sum(one.exact for one in restored) / len(restored)
    jaccard = sum(one.jaccard for one in restored) / len(restored)
    said = " / ".join(one.text for one in restored)
    status: Status = "right" if score == 1 else "partial" if score else "wrong" if said.strip(" /") else "unread"
    return Mark(score, status, said, extra={"jaccard": jaccard})


RULES = {
    "choice": _choice,
    "yes_no": _yes_no,
    "number": _number,
    "maths": _maths,
    "wanted": _wanted,
    "covered": _covered,
}


def _binary(right: bool, said: str) -> Mark:
    return Mark(1.0, "right", said) if right else Mark(0.0, "wrong", said)


_graders: dict[float, Grader] = {}
_lock = threading.Lock()


def _math_grader(rtol: float) -> Grader:
    with _lock:
        if rtol not in _graders:
            _graders[rtol] = open_grader("math", options=GradingOptions(rtol=rtol))
        return _graders[rtol]
