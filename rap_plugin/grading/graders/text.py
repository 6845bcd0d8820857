"""`text`: equal after normalising case, articles, punctuation and white space."""

from __future__ import annotations

import re

from rap_plugin.grading.base import GradeItem, GradingOptions
from rap_plugin.grading.building import Opinion, gold_is_empty, grader
from rap_plugin.grading.reading.answers import Answer, find_answer
from rap_plugin.grading.reading.formulas import is_figure, same_words
from rap_plugin.grading.reading.item_labels import gives_labels, labels_of_gold
from rap_plugin.grading.reading.normalised import normalize_text, unwrap_text_commands

_YES_NO = re.compile(r"\W*(yes|no)\b(?!\s+(?:or|and)\b)", re.IGNORECASE)

_TAKEN_BACK = re.compile(r"\b(?:wait|actually|sorry|correction|scratch that)\b.{0,60}\b(yes|no)\W*$", re.IGNORECASE)


def same_text(answer: Answer, gold: str, *, alternatives: bool = False) -> bool:
    """Whether an answer says what the gold answer says, word for word."""
    golds = {normalize_text(part) for part in (gold.split("/") if alternatives else [gold]) if part.strip()}
    said = normalize_text(answer.text)
    if said in golds:
        return True
    if is_figure(gold) and same_words(gold, answer):
        return True
    text = unwrap_text_commands(answer.text)
    lead = _YES_NO.match(text)
    word = (_TAKEN_BACK.search(text[-200:]) or lead) if lead else None
    return bool(word and len(golds & {"yes", "no"}) == 1 and word.group(1).lower() in golds)


def compare_text(item: GradeItem, *, alternatives: bool) -> Opinion:
    """The opinion of the `text` grader."""
    empty = gold_is_empty(item.gold)
    answer = find_answer(item.response)
    if empty:
        return Opinion("ungradable", answer.text, empty)
    if not answer.text:
        return Opinion("wrong", "", "no answer found")
    labels = labels_of_gold(item.gold)
    if labels is not None:
        same = gives_labels(answer.text, labels)
        return Opinion("right" if same else "wrong", answer.text, "" if same else "other items")
    if same_text(answer, item.gold, alternatives=alternatives):
        return Opinion("right", answer.text)
    # An unmarked answer of several lines can be right as a whole (a poem, a list).
    if answer.how == "line" and normalize_text(item.response[:10_000]) == normalize_text(item.gold):
        return Opinion("right", item.gold.strip())
    return Opinion("wrong", answer.text, "another text")


@grader("text", version=7, moved_by=("format_weight", "alternatives"))
def text(item: GradeItem, options: GradingOptions) -> Opinion:
    """Normalised string match, for golds that are words."""
    return compare_text(item, alternatives=options.alternatives)
