"""`choice`: the response chooses the gold option."""

from __future__ import annotations

from collections.abc import Mapping

from rap_plugin.grading.base import GradeItem, GradingOptions
from rap_plugin.grading.building import Opinion, gold_is_empty, grader
from rap_plugin.grading.reading.chosen_option import read_option
from rap_plugin.grading.reading.option_letters import letters_only
from rap_plugin.grading.reading.option_texts import match_option
from rap_plugin.grading.reading.question_options import parse_options


def gold_choice(gold: str, options: Mapping[str, str]) -> str | None:
    """The letters of a gold answer: "C", "(C)", "B, D", "C. 12 cm", or the text of one option."""
    letters = "".join(options) if options else None
    exact = letters_only(gold, letters) if letters else letters_only(gold)
    if exact:
        return exact
    by_text = match_option(gold, options)
    if by_text:
        return by_text
    head = gold.strip()[:3].strip()
    lead = letters_only(head, letters) if letters else letters_only(head)
    return lead if lead and len(lead) == 1 and not head[-1:].isalnum() else None


def choice_opinion(item: GradeItem, options: Mapping[str, str]) -> Opinion:
    """The opinion of the `choice` grader, given the options of the question."""
    gold = gold_choice(item.gold, options)
    reading = read_option(item.response, options, question=item.question)
    said = reading.value
    if gold is None:
        return Opinion("ungradable", said or "", check_choice_gold(item.gold, options) or "")
    if said is None:
        return Opinion("wrong", "", reading.reason)
    return Opinion("right", said) if said == gold else Opinion("wrong", said, "another option")


def check_choice_gold(gold: str, options: Mapping[str, str]) -> str | None:
    """None when a gold answer names an option, else why not."""
    empty = gold_is_empty(gold)
    if empty or gold_choice(gold, options):
        return empty
    if options:
        return f"the gold answer {gold.strip()[:40]!r} is none of the options {', '.join(options)}"
    return f"the gold answer {gold.strip()[:40]!r} is not an option letter"


def check_choice_question(gold: str, question: str = "") -> str | None:
    """`check_choice_gold` with the options of the question."""
    return check_choice_gold(gold, parse_options(question))


@grader("choice", version=7, moved_by=("format_weight",), check_gold=check_choice_question)
def choice(item: GradeItem, options: GradingOptions) -> Opinion:
    """Multiple choice: letters, several letters as sets, or an option's own words."""
    return choice_opinion(item, parse_options(item.question))
