"""`auto`: the grader that each gold answer asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from rap_plugin.grading.base import (
    Grade,
    GradeItem,
    GradingOptions,
    Opinion,
    gold_is_empty,
    grade_from,
    grader_id,
)
from rap_plugin.grading.graders.choice import choice_opinion
from rap_plugin.grading.graders.maths import MathGrader, check_math_gold, math_opinions, math_pool
from rap_plugin.grading.graders.text import compare_text
from rap_plugin.grading.reading.answers import find_answer, well_formatted
from rap_plugin.grading.reading.chosen_option import letters_only, match_option
from rap_plugin.grading.reading.formulas import is_words
from rap_plugin.grading.reading.question_options import mentions_letters, parse_options

Route = Literal["choice", "math", "text"]

_UPPER_LETTERS = re.compile(r"[^a-j]*")
_RUN_TOGETHER = re.compile(r"[A-J]{2}")
_MATHS = re.compile(r"\d|\\[A-Za-z]|[=<>^√π∞%°]|^[A-Za-z]$|[A-Za-z]\s?[-+*/]\s?[A-Za-z]")


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
    if is_words(text) or not _MATHS.search(text) or len(text) > 300:
        return "text"
    return "math"


class AutoGrader:
    """Routes every item by its gold answer."""

    def __init__(self, options: GradingOptions) -> None:
        self._options = options
        self._pool = math_pool(options)
        self.id = grader_id(
            "auto", 1, alternatives=options.alternatives, math=MathGrader(options).id, weight=options.format_weight
        )

    def check_gold(self, gold: str, question: str = "") -> str | None:
        empty = gold_is_empty(gold)
        if empty:
            return empty
        return check_math_gold(gold) if route(gold, question, parse_options(question)) == "math" else None

    def grade(self, items: Sequence[GradeItem]) -> list[Grade]:
        opinions: list[Opinion | None] = []
        for item in items:
            opinions.append(self._without_worker(item))
        rest = [item for item, opinion in zip(items, opinions, strict=True) if opinion is None]
        maths = iter(math_opinions(rest, self._pool, self._options.rtol))
        return [
            grade_from(
                opinion if opinion is not None else next(maths),
                formatted=well_formatted(item.response),
                format_weight=self._options.format_weight,
            )
            for item, opinion in zip(items, opinions, strict=True)
        ]

    def _without_worker(self, item: GradeItem) -> Opinion | None:
        options = parse_options(item.question)
        where = route(item.gold, item.question, options)
        if where == "math":
            return None
        if where == "text":
            return compare_text(item, alternatives=self._options.alternatives)
        opinion = choice_opinion(item, options)
        if opinion.verdict == "wrong" and not opinion.extracted and not letters_only(item.gold):
            # The gold is an option's text and the response chose no option: "7cm" may still answer "7 cm".
            return None if _MATHS.search(item.gold) else compare_text(item, alternatives=False)
        if opinion.verdict == "wrong" and not opinion.extracted:
            return Opinion("wrong", find_answer(item.response).text[:200], opinion.reason)
        return opinion

    def close(self) -> None:
        self._pool.close()
