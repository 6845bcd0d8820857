"""The number that a response gives as its answer.

A sentence often holds more than one number: thresholds ("below 40"), years, labels ("week 3"), numbers of the question,
steps of a computation. What the sentence says last about the thing asked for is the answer; two candidates are none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rap_plugin.grading.reading.answers import find_marked, find_phrases, first_sentence
from rap_plugin.grading.reading.base import Reading, contradictory, never_raises, read, unread
from rap_plugin.grading.reading.body import body_span, cut_box
from rap_plugin.grading.reading.formulas import split_name
from rap_plugin.grading.reading.number_in_sentence import NEAR, AskedNumber, bold_number, content_words, number_in
from rap_plugin.grading.reading.number_tokens import NumberToken, number_tokens
from rap_plugin.grading.reading.phrases import corrects
from rap_plugin.grading.reading.plain import Sentence, plain_text, sentences
from rap_plugin.grading.reading.quantities import Quantity, read_quantity

_CONCLUDES = re.compile(
    r"^\W*(?:so|therefore|thus|hence|in conclusion|in total|overall|finally|in summary|consequently|accordingly|altogether|to sum up"
    r"|(?:this|that|which) (?:means|gives|makes|leaves)|we (?:get|find|have|obtain))\b|^\W*(?:∴|因此|所以|综上|故)",
    re.IGNORECASE,
)
_SAYS = re.compile(
    r"(?:\b(?:is|are|was|were|be|equals?|equal to|totals?|costs?|spends?|spent|pay|paid|measures?|reads?|shows?|becomes?|remains?|gives?|gets?|yields?"
    r"|has|have|had|there(?:'s| is| are)|of|with|by|to|at|makes?|contains?|leaves?|receives?|see|count|answer)\b|[:→])"
    r"\s*(?:(?:about|approximately|around|roughly|exactly|only|just|nearly|almost|still|equal to|therefore|then|now|a total of|the|a|an|at|approx\.?|indeed|also|~)\s*)*[\W_]{0,6}$",
    re.IGNORECASE,
)
_REFUSES = re.compile(
    r"\b(?:cannot|can't|can not|unable to|not able to|impossible to|not possible to)\s+(?:\w+ly\s+)?(?:determine|tell|say|answer|calculate|provide|see|view|access|process|help|give|count|find)\b"
    r"|\b(?:not|n't) (?:have|provide|contain) (?:\w+ ){0,2}(?:enough|sufficient|any|access|the necessary)\b|\b(?:insufficient|not enough|lack of) (?:information|data|context)\b|\bnot sufficient\b",
    re.IGNORECASE,
)


@never_raises
def read_number(response: str, question: str = "") -> Reading[Quantity]:
    """The number that a response gives as its answer. The question tells which of several numbers that is, and which
    ones only repeat it."""
    asked = AskedNumber(question)
    marked = find_marked(response)
    if marked is not None:
        return _read_marked(response, marked.start, marked.end, marked.how, asked)
    plain = plain_text(response)
    body = body_span(response, plain)
    if body is None:
        return unread("the thought was cut off")
    if cut_box(response, *body):
        return unread("the box was cut off", body)
    start, end = body
    phrased = _read_phrases(response, start, end, asked)
    if phrased is not None:
        return phrased
    parts = list(sentences(plain[start:end], start))
    if len(parts) == 1:
        whole = read_quantity(response[start:end].lstrip(" *\n").rstrip(" .*\n"))
        if whole is not None:
            return read(whole, (parts[0].start, parts[0].end), "the whole answer")
    return _read_sentences(response, parts[-200:], asked)


def _read_marked(response: str, start: int, end: int, how: str, asked: AskedNumber) -> Reading[Quantity]:
    text = response[start:end]
    for candidate in (text, split_name(text)[1], text.rsplit("=", 1)[-1], text.rsplit("≈", 1)[-1]):
        quantity = read_quantity(candidate.strip(" .$*"))
        if quantity is not None:
            return read(quantity, (start, end), how)
    found = number_in(text, asked, answer=True)
    if isinstance(found, NumberToken):
        return read(found.quantity, (start + found.start, start + found.end), how)
    return contradictory(found, (start, end)) if found else unread(f"the {how} holds no number", (start, end))


def _read_phrases(response: str, start: int, end: int, asked: AskedNumber) -> Reading[Quantity] | None:
    """The number after the last "the answer is", None where none of them names one."""
    known: list[tuple[NumberToken, int, bool]] = []
    for phrase in find_phrases(response[start:end]):
        text = first_sentence(phrase.text)
        found = number_in(text, asked, answer=True)
        offset = start + phrase.text_start
        before = response[max(start, start + phrase.start - 40) : start + phrase.start]
        if isinstance(found, str):
            return contradictory(found, (offset, offset + len(text)))
        if found is not None:
            known.append(
                (found, offset, phrase.final or bool(re.search(r"\b(?:so|therefore|thus|hence)\b", before, re.I)))
            )
    if not known:
        return None
    token, offset, final = known[-1]
    span = (offset + token.start, offset + token.end)
    if len({one.quantity.value for one, _, _ in known}) > 1 and not final:
        return contradictory("two answers", span)
    return read(token.quantity, span, "answer phrase")


def _read_sentences(response: str, parts: Sequence[Sentence], asked: AskedNumber) -> Reading[Quantity]:
    """The number of the conclusion; else of the one sentence, or the sentence nearest to the question."""
    held: list[tuple[Sentence, NumberToken]] = []
    doubtful: tuple[str, Sentence] | None = None
    for part in parts:
        found = number_in(response[part.start : part.end], asked)
        if isinstance(found, str):
            doubtful = (found, part)
        elif found is not None:
            held.append((part, found))
    refused = max((part.start for part in parts if _REFUSES.search(part.text)), default=-1)
    if refused >= 0:
        held = [one for one in held if one[0].start > refused and _CONCLUDES.search(one[0].text)]
        if not held:
            return unread("it says that it cannot tell")
    if not held:
        if doubtful:
            return contradictory(doubtful[0], (doubtful[1].start, doubtful[1].end))
        return unread("no number that answers")
    # A conclusion may come to a number that stands in the question for something else.
    held = [one for one in held if one[1].quantity.value not in asked.values or _CONCLUDES.search(one[0].text)] or held
    lead = _lead_number(response, parts[0])
    if lead is not None and not any(
        _CONCLUDES.search(part.text) or "=" in part.text for part, _ in held[1:] if part is not parts[0]
    ):
        return _of(parts[0], lead, "stated first")
    if len({token.quantity.value for _, token in held}) == 1 and not (doubtful and len(parts) < 3):
        return _of(*held[-1], "the only number")
    first = held[0] if held[0][0] in parts[:2] and _states(response, *held[0], asked) else None
    last = held[-1] if held[-1][0] is parts[-1] and _states(response, *held[-1], asked) else None
    concluding = [one for one in held if _CONCLUDES.search(one[0].text)]
    strong = [one for one in concluding if not re.match(r"\W*(?:this|that|which)\b", one[0].text, re.IGNORECASE)]
    if first and not strong and not last and bold_number(response[first[0].start : first[0].end]) is not None:
        return _of(*first, "stated first")
    if (
        doubtful
        and not (last and last[0].start > doubtful[1].start)
        and _CONCLUDES.search(doubtful[1].text)
        and (not concluding or doubtful[1].start > concluding[-1][0].start)
    ):
        return contradictory(doubtful[0], (doubtful[1].start, doubtful[1].end))
    final = last or (concluding[-1] if concluding else None)
    if final and first and corrects(response[first[0].end : final[0].end]):
        return _of(*final, "corrected")
    computed = final is not None and _CONCLUDES.search(final[0].text) and "=" in final[0].text
    if final and first and final[1].quantity.value != first[1].quantity.value and not computed:
        emphasised = bold_number(response[first[0].start : first[0].end]) is not None
        if emphasised and any(t.quantity.value == first[1].quantity.value for t in number_tokens(final[0].text)):
            return _of(*first, "stated first and again")
        if len(parts) <= 12 and not last:
            return contradictory("it begins with one number and concludes with another", (final[0].start, final[0].end))
    if final:
        return _of(*final, "conclusion")
    if first:
        return _of(*first, "stated first")
    bold = [one for one in held if bold_number(response[one[0].start : one[0].end]) is not None]
    if bold and len({token.quantity.value for _, token in bold}) == 1:
        return _of(*bold[0], "emphasised")
    if held[-1][0] is parts[-1] and re.search(r"[=≈]", parts[-1].text):
        return _of(*held[-1], "end of the computation")
    return contradictory("several numbers", (held[-1][0].start, held[-1][0].end))


def _lead_number(response: str, part: Sentence) -> NumberToken | None:
    """The number that a sentence opens with and then explains: "4, since there are two rows of 2", "12" on its line."""
    text = response[part.start : part.end]
    token = next(number_tokens(text), None)
    if token is None or text[: token.start].strip(" *_$(\"'"):
        return None
    if text[token.end : token.end + 1] == "(":
        return None  # 2(5+7) is a product
    after = text[token.end :].strip(" *_$)\"'.")
    explains = re.match(r"(?:[a-z]+ ?){0,3}(?:[,;:-]\s*)?(?:\b(?:since|because|as|due)\b|\()", after, re.IGNORECASE)
    return token if not after or explains else None


def _states(response: str, part: Sentence, token: NumberToken, asked: AskedNumber) -> bool:
    """Whether a sentence says what the number is of what the question asks for."""
    text = response[part.start : part.end]
    said_words = content_words(text)
    about = len(said_words & asked.words) >= min(2, len(asked.words)) and bool(asked.words)
    about = about or (bool(said_words) and said_words <= asked.words) or _is_computation(text)
    final = re.search(r"\b(?:final|total|result|answer|missing|next)\b", text, re.IGNORECASE)
    said = (
        asked.year
        or _SAYS.search(text[max(0, token.start - NEAR) : token.start])
        or bold_number(text) is not None
        or "=" in text[max(0, token.start - 4) : token.start]
    )
    return bool(said) and bool(about or final)


def _is_computation(text: str) -> bool:
    """Whether a sentence is an equation and nothing else: "11 - 7 = 4"."""
    return "=" in text and not re.search(r"[A-Za-z]{3,}", re.sub(r"\\[a-z]+", "", text))


def _of(part: Sentence, token: NumberToken, reason: str) -> Reading[Quantity]:
    return read(token.quantity, (part.start + token.start, part.start + token.end), reason)
