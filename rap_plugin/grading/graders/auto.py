"""`auto`: the grader that each gold answer asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from rap_plugin.grading.base import GradeItem, GradingOptions
from rap_plugin.grading.building import Ask, Opinion, gold_is_empty, grader
from rap_plugin.grading.graders.choice import choice_opinion
from rap_plugin.grading.graders.math import check_math_gold, compare_math, library_versions
from rap_plugin.grading.graders.text import compare_text
from rap_plugin.grading.reading.answers import find_answer
from rap_plugin.grading.reading.formulas import is_words
from rap_plugin.grading.reading.golds import says_all_reals
from rap_plugin.grading.reading.option_letters import letters_only
from rap_plugin.grading.reading.option_texts import match_option
from rap_plugin.grading.reading.question_options import mentions_letters, parse_options

Route = Literal["choice", "math", "text"]

_UPPER_LETTERS = re.compile(r"[^a-j]*")
_RUN_TOGETHER = re.compile(r"[A-J]{2}")
_MATHS = re.compile(r"\d|\\[A-Za-z]|[=<>^√π∞%°∅]|^[A-Za-z]$|[A-Za-z]\s?[-+*/]\s?[A-Za-z]")


def route(gold: str, question: str, options: Mapping[str, str]) -> Route:
    """Which grader a gold answer asks for.

    Option letters in upper case ("C", "(C)", "B, D") go to `choice`, unless the question lists options and
    none has that letter; letters run together ("BD") only when the question asks for letters, since "ABC" is
    a triangle elsewhere. So does a gold that is the text of a listed option. Words go to `text`, and all
    else that holds digits, operators or LaTeX to `math`.
    """
    text = gold.strip()
    if _UPPER_LETTERS.fullmatch(text) and letters_only(text):
        asked = bool(options) or not _RUN_TOGETHER.search(text) or mentions_letters(question)
        if asked and (not options or letters_only(text, "".join(options))):
            return "choice"
    elif match_option(text, options):
        return "choice"
    if says_all_reals(text):
        return "math"
    if is_words(text) or not _MATHS.search(text) or len(text) > 300:
        return "text"
    return "math"


@lru_cache(maxsize=1024)
def _routed(gold: str, question: str) -> tuple[dict[str, str], Route]:
    # All responses to one problem go the same way.
    listed = parse_options(question)
    return listed, route(gold, question, listed)


def check_routed_gold(gold: str, question: str = "") -> str | None:
    """The check of the grader that this gold answer goes to."""
    empty = gold_is_empty(gold)
    if empty:
        return empty
    return check_math_gold(gold) if route(gold, question, parse_options(question)) == "math" else None


@grader(
    "auto",
    version=8,
    moved_by=("alternatives", "format_weight", "rtol", "timeout_s", "memory_mb"),
    facts=library_versions,
    check_gold=check_routed_gold,
    worker={"kind": "math"},
)
def auto(item: GradeItem, options: GradingOptions) -> Opinion | Ask:
    """The grader that the gold answer asks for: `choice`, `text` or `math`."""
    listed, where = _routed(item.gold, item.question)
    if where == "math":
        return compare_math(item, options.rtol)
    if where == "text":
        return compare_text(item, alternatives=options.alternatives)
    opinion = choice_opinion(item, listed)
    if opinion.verdict != "wrong" or opinion.extracted:
        return opinion
    if gold := letters_only(item.gold):
        answer, text = find_answer(item.response), listed.get(gold, "")
        if answer.how in ("boxed", "tag") and _MATHS.search(answer.text) and _MATHS.search(text):
            return compare_math(replace(item, gold=text), options.rtol)  # √12 is the option 2√3
        return Opinion("wrong", answer.text[:200], opinion.reason)
    # The gold is an option's text and the response chose no option: "7cm" may still answer "7 cm".
    if _MATHS.search(item.gold):
        return compare_math(item, options.rtol)
    return compare_text(item, alternatives=False)
