"""MM-Vet (arXiv 2308.02490): golds are phrases joined by <AND> and <OR>. What rules can say about an answer."""

from __future__ import annotations

import re

from rap_plugin.grading.extract import find_answer, normalize_text
from rap_plugin.grading.reading.quantities import find_quantities, read_quantity, same_quantity

MAX_WORDS = 6
"""A longer phrase can be said in other words: whether an answer means it is for a judge."""

_JOIN = re.compile(r"\s*<AND>\s*")
_EITHER = re.compile(r"\s*<OR>\s*")
_NEGATION = re.compile(
    r"\b(?:not|no|never|neither|nor|cannot|without|or|either|maybe|perhaps|unsure|isn't|aren't|doesn't|don't|can't)\b",
    re.IGNORECASE,
)


def read_phrases(response: str, gold: str) -> tuple[float | None, str]:
    """(score, answer read). The score is the share of the phrases joined by <AND> that the answer holds, the best
    over the alternatives joined by <OR>; None where rules cannot tell.

    Only the marked answer, or a response of one line, is looked at, and never across a negation. A short phrase that
    is missing counts as missing only where both sides are numbers, or yes and no: other words may mean the same.
    """
    answer = find_answer(response)
    if not answer.text:
        return 0.0, ""
    scores = [_conjunction(answer.text, part) for part in _EITHER.split(gold) if part.strip()]
    known = [score for score in scores if score is not None]
    best = max(known, default=None)
    if best is not None and (best == 1.0 or len(known) == len(scores)):
        return best, answer.text
    return None, answer.text


def _conjunction(text: str, gold: str) -> float | None:
    found = [_holds(text, phrase) for phrase in _JOIN.split(gold) if phrase.strip()]
    if not found or None in found:
        return None
    return sum(1 for one in found if one) / len(found)


def _holds(text: str, phrase: str) -> bool | None:
    said, wanted = normalize_text(text), normalize_text(phrase)
    if said == wanted:
        return True
    if len(wanted.split()) > MAX_WORDS:
        return None
    quantity = read_quantity(phrase)
    if quantity is not None:
        others = [read_quantity(number) for number, _ in find_quantities(text)]
        numbers = [other for other in others if other is not None]
        if len(text.split()) > 40 or not numbers:
            return None
        hit = any(same_quantity(quantity, other) for other in numbers)
        if hit and _NEGATION.search(text):
            return None
        return hit
    if wanted in ("yes", "no"):
        lead = said.split(" ", 1)[0]
        return lead == wanted if lead in ("yes", "no") else None
    if f" {wanted} " in f" {said} ":
        return None if _NEGATION.search(text) else True
    return None
