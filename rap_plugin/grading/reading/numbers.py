"""The number that a response gives as its answer, and whether it is the gold number to the precision asked for.

A sentence often holds more than one number: thresholds ("below 40"), years, labels ("week 3"), numbers of the question,
steps of a computation. What the sentence says last about the thing asked for is the answer; two candidates are none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from fractions import Fraction
from itertools import pairwise

from rap_plugin.grading.reading.answers import find_marked, find_phrases, first_sentence
from rap_plugin.grading.reading.base import Reading, contradictory, never_raises, read, unread
from rap_plugin.grading.reading.body import body_span
from rap_plugin.grading.reading.formulas import split_name
from rap_plugin.grading.reading.number_tokens import NumberToken, number_tokens, word_tokens
from rap_plugin.grading.reading.plain import Sentence, plain_text, sentences
from rap_plugin.grading.reading.quantities import SCALES, Quantity, read_quantity, read_unit

_CONCLUDES = re.compile(
    r"^\W*(?:so|therefore|thus|hence|in conclusion|in total|overall|finally|in summary|consequently|accordingly|altogether|to sum up"
    r"|this (?:means|gives|makes)|which (?:means|gives|makes)|we (?:get|find|have|obtain))\b|^\W*(?:∴|因此|所以|综上|故)",
    re.IGNORECASE,
)
_EQUALS = re.compile(r"(?:=|≈|\\approx|\\simeq|≃)\s*")
_LABEL = re.compile(
    r"\b(?P<noun>step|figure|fig\.?|option|choice|question|problem|equation|eq\.?|table|row|column|page|part|method|case|chapter|group|week|day|class"
    r"|grade|section|station|angle|point|line|level|stage|round|quarter|phase|series|plot|item|number|no\.|model|version|note|rule|type|team|player|bar|∠)\s?#?\(?$",
    re.IGNORECASE,
)
_THRESHOLD = re.compile(
    r"\b(?:below|above|less than|more than|greater than|fewer than|lower than|higher than|smaller than|larger than|bigger than|older than"
    r"|younger than|longer than|shorter than|at least|at most|over|under|exceed(?:s|ing|ed)?|than|beyond|up to|within|out of|of the|per|every|each"
    r"|approach(?:es|ing)?|after|before|since|until|when|where|if|for)\s*(?:or equal to\s*)?(?:x|n|t|y|the value)?\s*=?\s*\$?$",
    re.IGNORECASE,
)
_YEAR_BEFORE = re.compile(
    r"\b(?:in|for|of|year|during|from|to|by|since|until|and|between)\s*(?:the year\s*)?$", re.IGNORECASE
)
_SAYS = re.compile(
    r"(?:\b(?:is|are|was|were|be|equals?|equal to|totals?|costs?|spends?|spent|pay|paid|measures?|reads?|shows?|becomes?|remains?|gives?|gets?|yields?"
    r"|has|have|had|there(?:'s| is| are)|of|with|by|to|at|makes?|contains?|leaves?|receives?|see|count|answer)\b|[:→])"
    r"\s*(?:(?:about|approximately|around|roughly|exactly|only|just|nearly|almost|still|equal to|therefore|then|now|a total of|the|a|an|at|approx\.?|indeed|also|~)\s*)*[\W_]{0,6}$",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\b(?:between|either|anywhere from|ranging from|ranges from)\s*\W*$", re.IGNORECASE)
_UNSURE = re.compile(
    r"\b(?:cannot|can't|can not|could not|couldn't|unable|not possible|impossible|insufficient|not enough|no way|not sure|unsure|unclear|sorry"
    r"|as an ai|don't know|do not know|need more|please provide|without (?:the|more|seeing|any)|does not exist|undefined|infinite)\b|\?\W*$",
    re.IGNORECASE,
)
_NONE = re.compile(
    r"^\W*(?:none|zero|nothing)\b|\b(?:there (?:is|are|was|were)|there's|i (?:can )?(?:see|count|find)|we (?:see|have)|shows?|contains?|has|have|has got)\s+"
    r"(?:no|not any|none|zero)\b|^\W*no \w+(?: \w+){0,4} (?:are|is|have|has|were|remain|can)\b|没有",
    re.IGNORECASE,
)
_COUNTS = re.compile(r"\bhow many\b|\bnumber of\b|\bcount\b|多少|几", re.IGNORECASE)
_ASKS_YEAR = re.compile(r"\b(?:which|what) (?:\w+ )?year\b|^\W*when\b", re.IGNORECASE)
_REFUSES = re.compile(
    r"\b(?:cannot|can't|can not|unable to|not able to|impossible to|not possible to)\s+(?:\w+ly\s+)?(?:determine|tell|say|answer|calculate|provide|see|view|access|process|help|give|count|find)\b"
    r"|\b(?:not|n't) (?:have|provide|contain) (?:\w+ ){0,2}(?:enough|sufficient|any|access|the necessary)\b|\b(?:insufficient|not enough|lack of) (?:information|data|context)\b|\bnot sufficient\b",
    re.IGNORECASE,
)
_RANGE = re.compile(r"\bfrom\W*$", re.IGNORECASE)
_PERCENT = re.compile(r"%|\bpercent|\bper cent|\brate\b|百分", re.IGNORECASE)
_BOLD = re.compile(r"\*\*([^*\n]{1,120})\*\*|__([^_\n]{1,120})__")
_CLAUSE = re.compile(
    r"[,;]\s+(?:and|while|whereas|but|so|which|with|since|because|as|where)\b|;|\bwhile\b|\bwhereas\b|\bbut\b|\bcompared (?:to|with)\b|\bbecause\b",
    re.IGNORECASE,
)
_SCALE_WORD = re.compile(rf"\b({'|'.join(SCALES)})\b", re.IGNORECASE)
_UNIT_LINE = re.compile(r"\(Unit:\s*([^()]{1,30})\)", re.IGNORECASE)
_ASKED_UNIT = re.compile(
    r"\bhow many ([a-z]{2,12})\b(?!\s+per\b)|\b(?:in|to the nearest) (?:the )?((?:square |cubic )?[a-z]{1,12}(?:\^?[23])?)\W*(?:$|\()",
    re.IGNORECASE,
)
_COMMON_WORDS = "the and what which who how many much are was were this that these those image picture does with from for figure graph chart there have has value"
_COMMON = frozenset(_COMMON_WORDS.split())


@never_raises
def read_number(response: str, question: str = "") -> Reading[Quantity]:
    """The number that a response gives as its answer. The question tells which of several numbers that is, and which
    ones only repeat it."""
    asked = _Question(question)
    marked = find_marked(response)
    if marked is not None:
        return _read_marked(response, marked.start, marked.end, marked.how, asked)
    plain = plain_text(response)
    body = body_span(response, plain)
    if body is None:
        return unread("the thought was cut off")
    start, end = body
    phrased = _read_phrases(response, start, end, asked)
    if phrased is not None:
        return phrased
    parts = list(sentences(plain[start:end], start))
    if len(parts) == 1:
        whole = read_quantity(response[start:end].strip(" .*\n"))
        if whole is not None:
            return read(whole, (parts[0].start, parts[0].end), "the whole answer")
    return _read_sentences(response, parts[-200:], asked)


class _Question:
    """What a question says about the number that it asks for."""

    def __init__(self, question: str) -> None:
        self.text = question[:4_000]
        self.counts = bool(_COUNTS.search(self.text))
        self.year = bool(_ASKS_YEAR.search(self.text))
        tokens = [*number_tokens(self.text), *word_tokens(self.text)]
        self.values = {token.quantity.value for token in tokens}
        self.words = _content(self.text)


def _content(text: str) -> set[str]:
    return {word.rstrip("s") for word in re.findall(r"[a-z]{3,}", text.lower()) if word not in _COMMON}


def _read_marked(response: str, start: int, end: int, how: str, asked: _Question) -> Reading[Quantity]:
    text = response[start:end]
    for candidate in (text, split_name(text)[1], text.rsplit("=", 1)[-1], text.rsplit("≈", 1)[-1]):
        quantity = read_quantity(candidate.strip(" .$*"))
        if quantity is not None:
            return read(quantity, (start, end), how)
    found = _in_segment(text, asked, answer=True)
    if isinstance(found, NumberToken):
        return read(found.quantity, (start + found.start, start + found.end), how)
    return contradictory(found, (start, end)) if found else unread(f"the {how} holds no number", (start, end))


def _read_phrases(response: str, start: int, end: int, asked: _Question) -> Reading[Quantity] | None:
    """The number after the last "the answer is", None where none of them names one."""
    known: list[tuple[NumberToken, int, bool]] = []
    for phrase in find_phrases(response[start:end]):
        text = first_sentence(phrase.text)
        found = _in_segment(text, asked, answer=True)
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


def _read_sentences(response: str, parts: Sequence[Sentence], asked: _Question) -> Reading[Quantity]:
    """The number of the conclusion; else of the one sentence, or the sentence nearest to the question."""
    held: list[tuple[Sentence, NumberToken]] = []
    doubtful: tuple[str, Sentence] | None = None
    for part in parts:
        found = _in_segment(response[part.start : part.end], asked)
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
    held = [one for one in held if one[1].quantity.value not in asked.values] or held
    if len({token.quantity.value for _, token in held}) == 1 and not (doubtful and len(parts) < 3):
        return _of(*held[-1], "the only number")
    first = held[0] if held[0][0] in parts[:2] and _states(response, *held[0], asked) else None
    last = held[-1] if held[-1][0] is parts[-1] and _states(response, *held[-1], asked) else None
    concluding = [one for one in held if _CONCLUDES.search(one[0].text)]
    if (
        doubtful
        and _CONCLUDES.search(doubtful[1].text)
        and (not concluding or doubtful[1].start > concluding[-1][0].start)
    ):
        return contradictory(doubtful[0], (doubtful[1].start, doubtful[1].end))
    final = last or (concluding[-1] if concluding else None)
    if final and first and final[1].quantity.value != first[1].quantity.value:
        emphasised = _bold_number(response[first[0].start : first[0].end]) is not None
        if emphasised and any(t.quantity.value == first[1].quantity.value for t in number_tokens(final[0].text)):
            return _of(*first, "stated first and again")
        if len(parts) <= 12 and not last:
            return contradictory("it begins with one number and concludes with another", (final[0].start, final[0].end))
    if final:
        return _of(*final, "conclusion")
    if first:
        return _of(*first, "stated first")
    bold = [one for one in held if _bold_number(response[one[0].start : one[0].end]) is not None]
    if bold and len({token.quantity.value for _, token in bold}) == 1:
        return _of(*bold[0], "emphasised")
    if held[-1][0] is parts[-1] and re.search(r"[=≈]", parts[-1].text):
        return _of(*held[-1], "end of the computation")
    return contradictory("several numbers", (held[-1][0].start, held[-1][0].end))


def _states(response: str, part: Sentence, token: NumberToken, asked: _Question) -> bool:
    """Whether a sentence says what the number is of what the question asks for."""
    text = response[part.start : part.end]
    about = len(_content(text) & asked.words) >= min(2, len(asked.words)) and bool(asked.words)
    final = re.search(r"\b(?:final|total|result|answer|missing|next)\b", text, re.IGNORECASE)
    said = (
        asked.year
        or _SAYS.search(text[: token.start])
        or _bold_number(text) is not None
        or "=" in text[: token.start][-4:]
    )
    return bool(said) and bool(about or final)


def _of(part: Sentence, token: NumberToken, reason: str) -> Reading[Quantity]:
    return read(token.quantity, (part.start + token.start, part.start + token.end), reason)


def _in_segment(text: str, asked: _Question, *, answer: bool = False) -> NumberToken | str | None:
    """The one number that a sentence gives; why it gives none where it gives several; None where it gives nothing.
    `answer`: the text follows "the answer is", so that its first number counts."""
    if _UNSURE.search(text):
        return None
    words = [token for token in word_tokens(text) if _counts_something(text, token, answer)]
    tokens = _candidates(text, sorted([*number_tokens(text), *words], key=lambda token: token.start), asked)
    digits = [token for token in tokens if not token.words]
    tokens = digits or tokens
    if not tokens:
        none = asked.counts and _NONE.search(text)
        return NumberToken(Quantity(Fraction(0), True, text="none"), 0, len(text), words=True) if none else None
    for token in tokens:
        before, after = text[: token.start], text[token.end :]
        if _RANGE.search(before) and re.match(r"\s*(?:to|-|–)\s*\$?\d", after):
            return "alternatives"
        if re.match(r"\s*or\b", after) and not _same_again(token, after):
            return "alternatives"
    if _BETWEEN.search(text[: tokens[0].start]):
        return "alternatives"
    return _choose(text, tokens, asked, answer=answer)


def _same_again(token: NumberToken, after: str) -> bool:
    """ "0.57, or 57%" says one number twice."""
    other = next(number_tokens(after), None)
    if other is None:
        return False
    values = (token.quantity.value, other.quantity.value)
    return values[0] == values[1] or values[0] * 100 == values[1] or values[0] == values[1] * 100


def _candidates(text: str, tokens: list[NumberToken], asked: _Question) -> list[NumberToken]:
    """Numbers that can be the answer: without labels, list marks, thresholds and what the question itself says, as
    long as others are left."""
    kept = [t for t in tokens if not _is_label(text, t, asked)]
    rules: tuple[Callable[[NumberToken], bool], ...] = (
        lambda t: not _THRESHOLD.search(text[: t.start]),
        lambda t: t.quantity.value not in asked.values,
        lambda t: asked.year or not (_is_year(t) and _YEAR_BEFORE.search(text[: t.start])),
        lambda t: not asked.year or _is_year(t),
        lambda t: not asked.counts or (t.quantity.value.denominator == 1 and not t.quantity.percent),
    )
    for rule in rules:
        left = [t for t in kept if rule(t)]
        kept = left or kept
    return kept


def _is_label(text: str, token: NumberToken, asked: _Question) -> bool:
    before, after = text[: token.start], text[token.end : token.end + 2]
    if not before.strip(" *#(") and re.match(r"[.)]\s", after):
        return True  # "1. The bars .."
    if re.search(r"[A-Za-z]\($", before) and after.startswith(")"):
        return True  # f(4)
    label = _LABEL.search(before)
    if label is None:
        return False
    noun = label["noun"].lower().rstrip(".")
    return not re.search(
        rf"\b(?:which|what|in which|in what)\s+(?:\w+\s+)?{re.escape(noun)}|\b{re.escape(noun)}\b[^?]*\bnumber\b",
        asked.text,
        re.I,
    )


def _is_year(token: NumberToken) -> bool:
    value = token.quantity.value
    return token.quantity.exact and value.denominator == 1 and 1500 <= value <= 2100 and "," not in token.quantity.text


def _counts_something(text: str, token: NumberToken, answer: bool) -> bool:
    """Whether a number in words is one: "one" is often a pronoun."""
    if token.quantity.value != 1 or len(text.split()) <= 3 or (answer and token.start < 12):
        return True
    before, after = text[: token.start], text[token.end : token.end + 5]
    counted = re.search(r"(?:\b(?:is|are|only|just|exactly|see|count|total of|answer|equals)\b|:)\s*\W*$", before, re.I)
    return bool(counted) and not re.match(r"\s+of\b|\s+that\b", after)


def _choose(text: str, tokens: list[NumberToken], asked: _Question, *, answer: bool) -> NumberToken | str:
    equals = list(_EQUALS.finditer(text))
    if equals:
        after = [t for t in tokens if t.start >= equals[-1].end() and t.start - equals[-1].end() <= 12]
        if after:
            return after[0]
    if len({t.quantity.value for t in tokens}) == 1:
        return tokens[-1]
    bold = _bold_number(text)
    if bold is not None:
        return bold
    if not answer and all(t.quantity.value in asked.values for t in tokens):
        return "several numbers of the question"
    if answer and tokens[0].start <= 40:
        return tokens[0]
    clause = _clause_of_question(text, tokens, asked)
    said = [t for t in clause if _SAYS.search(text[: t.start])]
    direct = [
        t
        for t in said
        if re.search(
            r"\b(?:is|are|was|were|equals?|there(?:'s| is| are))\b[^A-Za-z]*(?:\w+\s){0,2}\W*$", text[: t.start], re.I
        )
    ]
    for group in (clause, said, direct):
        if len({t.quantity.value for t in group}) == 1:
            return group[-1]
    return "several numbers"


def _clause_of_question(text: str, tokens: list[NumberToken], asked: _Question) -> list[NumberToken]:
    """The numbers of the clause that takes up most of the question's words."""
    bounds = [0, *[m.start() for m in _CLAUSE.finditer(text)], len(text)]
    scored = []
    for begin, end in pairwise(bounds):
        inside = [t for t in tokens if begin <= t.start < end]
        if inside:
            scored.append((len(_content(text[begin:end]) & asked.words), inside))
    best = max(score for score, _ in scored)
    top = [inside for score, inside in scored if score == best]
    return top[0] if len(top) == 1 and best > 0 else tokens


def _bold_number(text: str) -> NumberToken | None:
    """The number of the one bold passage that holds exactly one."""
    found = []
    for match in _BOLD.finditer(text):
        group = 1 if match.group(1) is not None else 2
        inside = list(number_tokens(match.group(group)))
        if len(inside) == 1:
            token = inside[0]
            offset = match.start(group)
            found.append(NumberToken(token.quantity, offset + token.start, offset + token.end))
    return found[-1] if found and len({t.quantity.value for t in found}) == 1 else None


def asked_unit(question: str) -> str:
    """The canonical unit that a question asks for ("(Unit: cm)", "how many minutes", "in meters?"); "" where none."""
    line = _UNIT_LINE.search(question)
    if line:
        return read_unit(line.group(1)) or ""
    for match in _ASKED_UNIT.finditer(question[:4_000]):
        word = match.group(1) or match.group(2)
        if len(word) > 1 and word.lower() not in ("in", "min", "days", "day"):
            unit = read_unit(word)
            if unit:
                return unit
    return ""


def same_to_precision(gold: str, said: Quantity, precision: int = 0, question: str = "") -> bool:
    """Whether an answer is the gold number to the precision asked for: that of the gold's own decimals or `precision`,
    whichever is more.

    An integer must be met exactly. A longer decimal counts when it rounds to the gold, halves to the even digit, as the official scorers' floats do. A percent
    sign may be worked out (78% is 0.78) or be the unit of what was asked. Another unit or currency than the one asked
    for is another answer.
    """
    text = gold.strip().rstrip("%").replace(",", "").strip()
    try:
        wanted = Fraction(Decimal(text))
    except (InvalidOperation, ValueError, OverflowError):
        return False
    unit = asked_unit(question)
    if unit and said.unit and said.unit not in (unit, "unit"):
        return False
    counted = re.search(r"\bhow many\b", question, re.IGNORECASE) and not unit
    if counted and (said.unit in ("usd", "eur", "gbp", "yen") or (said.percent and not _PERCENT.search(question))):
        return False
    decimals = max(precision, len(text.partition(".")[2]))
    readings = [said.value]
    scale = _SCALE_WORD.search(said.text)
    if scale:
        # "141.5 billion" may be read off an axis in billions.
        readings.append(said.value / SCALES[scale.group(1).lower()])
    if said.percent:
        in_percent = gold.strip().endswith("%") or bool(_PERCENT.search(question))
        readings = [said.value] if in_percent else [said.value, said.value / 100]
    return any(_rounded(value, decimals) == wanted for value in readings)


def _rounded(value: Fraction, decimals: int) -> Fraction:
    """The value to so many decimals; an integer is asked for exactly, up to the noise of floating point."""
    if abs(value) > 10**30:
        return value
    if decimals == 0:
        nearest = Fraction(round(value))
        return nearest if abs(value - nearest) <= abs(value) / 10**9 else value
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return Fraction(exact.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_EVEN))
