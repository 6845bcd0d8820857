"""MM-Vet (arXiv 2308.02490): golds are phrases joined by <AND> and <OR>. What rules can say about an answer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rap_plugin.grading.extract import find_answer, normalize_text
from rap_plugin.grading.reading.quantities import Quantity, find_quantities, read_quantity, same_quantity

MAX_WORDS = 6
"""A longer phrase can be said in other words: whether an answer means it is for a judge."""

_JOIN = re.compile(r"\s*<AND>\s*")
_EITHER = re.compile(r"\s*<OR>\s*")
_NEGATION = re.compile(
    r"\b(?:not|no|never|neither|nor|cannot|without|or|either|maybe|perhaps|unsure|isn't|aren't|doesn't|don't|can't"
    r"|but|however|although|though|rather|instead|unlike|actually|between|might|could|possibly)\b",
    re.IGNORECASE,
)
"""A phrase beside one of these may be what the answer is not, or one of two."""
_REFUSAL = re.compile(
    r"\W*(?:(?:i'?m|i am)(?: \w+)? sorry\b|sorry,|as an ai\b|i(?:'m| am)? (?:cannot|can't|can not|unable to|not able to) "
    r"(?:\w+ )?(?:see|view|identify|recogni[sz]e|assist|help|determine|tell|provide|answer|access|read)\b|抱歉|对不起|我无法)",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"\bbut\b(?!,? (?:i(?:'m| am)? (?:cannot|can't|can not|unable|not able)|as an ai|unfortunately)\b)|但",
    re.IGNORECASE,
)
MAX_REFUSAL = 300
"""Characters of a refusal; a longer text may give the answer after it."""


def read_phrases(response: str, gold: str) -> tuple[float | None, str]:
    """(score, answer read). The score is the share of the phrases joined by <AND> that the answer holds, the best
    over the alternatives joined by <OR>; None where rules cannot tell.

    Only the marked answer, or a response of one line, is looked at, and never across a negation. A short phrase that
    is missing counts as missing only where both sides are numbers, or yes and no: other words may mean the same. A
    number that is found beside one that nobody asked for ("5 + 3 = 8") decides nothing.
    """
    answer = find_answer(response)
    if not answer.text:
        return 0.0, ""
    ways = [[phrase for phrase in _JOIN.split(part) if phrase.strip()] for part in _EITHER.split(gold) if part.strip()]
    wanted = [number for way in ways for number in map(read_quantity, way) if number is not None]
    scores = [_conjunction(answer.text, way, wanted) for way in ways]
    known = [score for score in scores if score is not None]
    best = max(known, default=None)
    if best is not None and (best == 1.0 or len(known) == len(scores)):
        return best, answer.text
    return None, answer.text


def is_refusal(text: str) -> bool:
    """Whether an answer says that it gives none, and nothing after that."""
    return len(text) <= MAX_REFUSAL and _REFUSAL.match(text) is not None and _GOES_ON.search(text) is None


def _conjunction(text: str, phrases: Sequence[str], wanted: Sequence[Quantity]) -> float | None:
    found = [_holds(text, phrase, wanted) for phrase in phrases]
    if not found or None in found:
        return None
    return sum(1 for one in found if one) / len(found)


def _holds(text: str, phrase: str, wanted: Sequence[Quantity]) -> bool | None:
    said, words = normalize_text(text), normalize_text(phrase)
    if said == words:
        return True
    if len(words.split()) > MAX_WORDS:
        return None
    quantity = read_quantity(phrase)
    if quantity is not None:
        return _holds_number(text, quantity, wanted)
    if words in ("yes", "no"):
        lead, _, rest = said.partition(" ")
        if lead not in ("yes", "no") or re.search(r"\b(?:but|however|actually|although|though)\b", rest):
            return None
        return lead == words
    if f" {words} " in f" {said} ":
        return None if _NEGATION.search(text) else True
    return None


def _holds_number(text: str, quantity: Quantity, wanted: Sequence[Quantity]) -> bool | None:
    """Whether a number of the text is the wanted one, or rounds to it where that has decimals; None where the text
    doubts it or has numbers that the gold has not."""
    numbers = [number for number in (read_quantity(found) for found, _ in find_quantities(text)) if number is not None]
    if len(text.split()) > 40 or not numbers:
        return None
    if not any(_meets(quantity, number) for number in numbers):
        return False
    others = any(not any(_meets(one, number) for one in wanted) for number in numbers)
    return None if others or _NEGATION.search(text) else True


def _meets(gold: Quantity, said: Quantity) -> bool:
    decimals = re.search(r"\.(\d{1,9})\D*$", gold.text) if gold.exact else None
    alike = said.exact and said.percent == gold.percent and said.unit in ("", gold.unit)
    if decimals and alike and round(said.value, len(decimals.group(1))) == gold.value:
        return True
    return same_quantity(gold, said)
