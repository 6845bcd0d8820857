"""`text`: equal after normalising case, articles, punctuation and white space."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from rap_plugin.grading.base import (
    Grade,
    GradeItem,
    GradingOptions,
    Opinion,
    gold_is_empty,
    grade_from,
    grader_id,
)
from rap_plugin.grading.reading.answers import Answer, find_answer, well_formatted

_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|mbox|textrm)\s{0,4}\{([^{}]{0,2000})\}")
# A sign before a number and a point inside one are part of it; every other mark is punctuation.
_PUNCTUATION = re.compile(r"(?<!\w)-(?=\d)|(?<=\d)\.(?=\d)|[%]|([^\w\s])|_")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_YES_NO = re.compile(r"\W*(yes|no)\b(?!\s+(?:or|and)\b)", re.IGNORECASE)
_DASHES = str.maketrans({"−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-"})


def unwrap_text_commands(text: str) -> str:
    """Without `\\text{..}` and its relatives, contents kept."""
    for _ in range(3):
        text, count = _TEXT_COMMAND.subn(r" \1 ", text)
        if not count:
            break
    return text


def normalize_text(text: str) -> str:
    """Folded case, no articles, no punctuation, single spaces. Articles stay when nothing else is there,
    so that the answer "A" is not nothing."""
    plain = unwrap_text_commands(text).translate(_DASHES)
    folded = unicodedata.normalize("NFKC", plain).casefold()
    bare = _PUNCTUATION.sub(lambda m: " " if m.group(1) or m.group() == "_" else m.group(), folded)
    words = " ".join(_ARTICLES.sub(" ", bare).split())
    return words or " ".join(bare.split()) or " ".join(folded.split())


def same_text(answer: Answer, gold: str, *, alternatives: bool = False) -> bool:
    """Whether an answer says what the gold answer says, word for word."""
    golds = {normalize_text(part) for part in (gold.split("/") if alternatives else [gold]) if part.strip()}
    said = normalize_text(answer.text)
    if said in golds:
        return True
    lead = _YES_NO.match(answer.text)
    return bool(lead and len(golds & {"yes", "no"}) == 1 and lead.group(1).lower() in golds)


def compare_text(item: GradeItem, *, alternatives: bool) -> Opinion:
    """The opinion of the `text` grader."""
    empty = gold_is_empty(item.gold)
    answer = find_answer(item.response)
    if empty:
        return Opinion("ungradable", answer.text, empty)
    if not answer.text:
        return Opinion("wrong", "", "no answer found")
    if same_text(answer, item.gold, alternatives=alternatives):
        return Opinion("right", answer.text)
    # An unmarked answer of several lines can be right as a whole (a poem, a list).
    if answer.how == "line" and normalize_text(item.response[:10_000]) == normalize_text(item.gold):
        return Opinion("right", item.gold.strip())
    return Opinion("wrong", answer.text, "another text")


class TextGrader:
    """Normalised string match, for golds that are words."""

    def __init__(self, options: GradingOptions) -> None:
        self._options = options
        self.id = grader_id("text", 1, format_weight=options.format_weight, alternatives=options.alternatives)

    def check_gold(self, gold: str, question: str = "") -> str | None:
        return gold_is_empty(gold)

    def grade(self, items: Sequence[GradeItem]) -> list[Grade]:
        return [
            grade_from(
                compare_text(item, alternatives=self._options.alternatives),
                formatted=well_formatted(item.response),
                format_weight=self._options.format_weight,
            )
            for item in items
        ]

    def close(self) -> None:
        """Nothing to stop."""
