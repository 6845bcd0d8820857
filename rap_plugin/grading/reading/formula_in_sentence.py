"""The formula that a sentence gives as its answer, whole, with the forms in which it says it again.

"The area is 9\\pi, or about 28.27" says one number twice, "the roots are 2 and 5" a list, "3 or 4" nothing.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from fractions import Fraction

from rap_plugin.grading.reading.closed_forms import same_value
from rap_plugin.grading.reading.compound_units import convert
from rap_plugin.grading.reading.expressions import Expression, find_expressions
from rap_plugin.grading.reading.notation import clean_math, usual_signs
from rap_plugin.grading.reading.number_in_sentence import COMPUTED
from rap_plugin.grading.reading.number_tokens import word_tokens
from rap_plugin.grading.reading.quantities import as_float, read_quantity

MAX_CHARS = 1_000
"""A longer sentence is read by its last 1,000 characters."""
NEAR = 200
"""Characters before an expression that say what it is."""
MAX_EXPRESSIONS = 30
"""A sentence with more of them gives none."""

_AGAIN = re.compile(
    r"[\s,;:(\[=-]*(?:\b(?:i\.\s?e\.?|that is(?: to say)?|that's|or|which|is|in other words|equivalently|equivalent to|namely|also written as|written as|expressed as|(?:as an?|in) (?:decimal|fraction|percent(?:age)?)(?: form| notation)?|meaning"
    r"|the same as|(?:can be )?(?:simplif|reduc)\w+(?: to)?|(?:is )?equal(?:s| to)?|comes to|rounds to|rounded to|about|approximately|approx\.?|roughly|around|nearly|just|exactly|=|\\approx)[\s,:(]*)*[\s,;:(=]*"
)
_TAIL = re.compile(r"^(?: [a-z]{1,12}){1,6}(?=, (?:which is|that is|i\.e\.))")
"""Words that a statement ends with before it says its value again: "4√5 m up the wall, which is about 8.94 m"."""
_ABOUT = re.compile(r"about|approx|roughly|around|nearly|round", re.IGNORECASE)
_OR = re.compile(r"\bor\b")
_LISTED = re.compile(r"\s*(?:,|;|,?\s*and|,?\s*or)\s+(?:the\s)?", re.IGNORECASE)
_REASON = re.compile(
    r"[,;]?\s\(?(?:because|since|given that|as (?:the|a|it|we|both|each|there)|for which|rather than|instead of|(?:which is )?(?:larger|greater|less|smaller|more|fewer|bigger|lower|higher) than|but not|not)\b"
    r"(?!\s(?:or equal))[^;]*",
    re.IGNORECASE,
)
_PREMISE = re.compile(
    r"^\W*(?:because|since|if|when|given that|as|for|with|from|using)\b(?:[^,]|,(?=\d)){3,200},\s", re.IGNORECASE
)
_COMES_TO = re.compile(
    r"(?:,|;|\band\b|\.\.\.?)\s*\b(?:so|hence|thus|therefore|which (?:gives|makes|leaves|means)|giving|making|resulting in|i mean|no,? wait|wait,? no|actually)\b",
    re.IGNORECASE,
)
_STATES = re.compile(
    r"(?:\b(?:is|are|equals?|equal to|gives?|get|obtain|have|measures?|comes? to|comes? out (?:to|as|at)|amounts? to|totals?|simplif\w+ to|reduces? to|factors? (?:as|into)|holds for|satisfy|satisfies|costs?|takes?|weighs?|lasted|lasts|becomes?|yields?|find)\b|[:=])"
    r"\s*(?:(?:about|approximately|around|roughly|exactly|only|just|nearly|equal to|then|therefore|thus|the|an?|at|located at|given by|point|value|all|interval|set|vector|line|x|y|\w{1,12}ly)\s*)*[(\s]*$",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\b(?:between|from|ranges? from|runs? from)\s*$", re.IGNORECASE)
_UP_TO = re.compile(r"\s*(?:and|to|up to|through)\s*(?:about\s)?", re.IGNORECASE)
_GIVEN = re.compile(
    r"\b(?:of|for|when|where|than|step|figure|fig\.|angle|triangle|problem|question|part|case|option|section|chapter|term|side|line|year|in|by|per)\s*(?:[a-zA-Z]\s?=\s?)?$",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"\b(?:step|figure|fig\.|angle|problem|question|part|case|option|section|chapter|equation)\s*$", re.IGNORECASE
)
_PLACE = re.compile(r"\s*\bat\s*", re.IGNORECASE)
"""Between a value and where it is taken: "-2 at x = 1"."""
_NO_VALUE = re.compile(
    r"(?:(?:\bnot|\bnever|n't)\s+(?:equal to\s+)?|(?<!\bno )(?<!\bnot )\b(?:more|less|fewer|greater|smaller|larger|bigger|higher|lower) than\s+|(?:不到|不足|超过|少于|多于)\s*)$",
    re.IGNORECASE,
)
_NO_VALUE_WORD = re.compile(r"\bnot\b|\bnever\b|n't\b|\bthan\b|[不超少多]", re.IGNORECASE)
_PLURAL = re.compile(r"\b(?:solutions|roots|zeros|values|intercepts|are|answers)\b", re.IGNORECASE)
_RELATION = re.compile(r"=|\\approx(?![A-Za-z])")
_OF_VARIABLES = re.compile(r"[a-z]\s?[-+^*/]|[-+*/\d]\s?[a-z]")
_INEQUALITY = re.compile(r"[<>]|\\(?:leq?|geq?|ne|in)(?![A-Za-z])")
_UNKNOWN = r"(?<![\w\\])(?P<name>[a-zA-Z])\s(?:must be|is|are|has to be|can be)\s(?:strictly\s)?"
_IN_WORDS = (
    (re.compile(_UNKNOWN + r"(?:(?:greater|larger|more) than or equal to|at least)\s"), r"\\ge "),
    (re.compile(_UNKNOWN + r"(?:(?:less|smaller) than or equal to|at most)\s"), r"\\le "),
    (re.compile(_UNKNOWN + r"(?:greater|larger|more|bigger) than\s"), "> "),
    (re.compile(_UNKNOWN + r"(?:less|smaller) than\s"), "< "),
)
_SHARE = re.compile(
    r"(?<![\d.,/])(?P<part>\d{1,6}|one|two|three)\s(?P<of>out of|in)\s(?:every\s)?(?P<whole>\d{1,6}|two|three|four|five|six|seven|eight|nine|ten)\b"
)
_SHARE_AGAIN = re.compile(
    rf"(?:\sof (?:it|them|this|these|that|those|the \w{{1,12}}))?(?=[\s,;(=]){_AGAIN.pattern}(?=\d)"
)
_COLON = re.compile(r"(?<=\d)\s?:\s?(?=\d)")
_CHANCE = re.compile(r"\b(?:probability|chances?|odds|likelihood|fraction|proportion)\b", re.IGNORECASE)
_COUNT_WORDS = dict(
    zip(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"], range(1, 11), strict=True)
)
_NOTHING = re.compile(
    r"\b(?:cannot|can't|unable|not sure|unsure|maybe|perhaps|(?:could|might|may) be|impossible|not possible|undetermined)\b|\?\s*$",
    re.IGNORECASE,
)


def formula_in(text: str) -> str | None:
    """The formula that a sentence gives as its answer, in the notation of `clean_math`; its forms joined by \\approx where
    it says one value twice, a list where it gives several. "" where it offers alternatives or is not clear; None where
    it holds nothing but plain numbers and none of them stands out, or no mathematics."""
    sentence = _in_signs(usual_signs(clean_math(text[-MAX_CHARS:])))
    comes_to = [*COMPUTED.finditer(sentence), *_COMES_TO.finditer(sentence)]
    for start in [*sorted({match.end() for match in comes_to}, reverse=True), 0]:
        part = sentence[start:]
        found = find_expressions(part)
        if found and len(found) <= MAX_EXPRESSIONS:
            return "" if _NOTHING.search(part) else _answer(part, found)
    shares = list(word_tokens(sentence))
    if len(shares) == 1 and shares[0].quantity.value.denominator > 1:
        value = shares[0].quantity.value
        return f"{value.numerator}/{value.denominator}"
    return None


def gives_no_value(text: str) -> bool:
    """Whether all that a sentence says of its only value is what it is not, or a bound: "the area is not 6π", "more than 3"."""
    sentence = _in_signs(usual_signs(clean_math(text[-MAX_CHARS:])))
    if not _NO_VALUE_WORD.search(sentence):
        return False
    found = find_expressions(sentence)
    return (
        len(found) == 1
        and not _INEQUALITY.search(found[0].text)
        and bool(_NO_VALUE.search(_before(sentence, found[0])))
    )


def _in_signs(sentence: str) -> str:
    """With signs for "x is at least 4", "2/3" for "two thirds" that are said again in digits, and "7 out of 20" as a
    fraction where a chance is meant."""
    for pattern, sign in _IN_WORDS:
        sentence = pattern.sub(rf"\g<name> {sign}", sentence)
    for share in reversed([token for token in word_tokens(sentence) if token.quantity.value.denominator > 1]):
        if _SHARE_AGAIN.match(sentence, share.end):
            value = share.quantity.value
            sentence = f"{sentence[: share.start]}{value.numerator}/{value.denominator}{sentence[share.end :]}"
    if not _CHANCE.search(sentence):
        return sentence
    return _SHARE.sub(lambda m: f"{_count(m['part'])}/{_count(m['whole'])}", sentence)


def _count(text: str) -> int:
    return _COUNT_WORDS.get(text) or int(text)


def _answer(text: str, found: list[Expression]) -> str | None:
    premise = _PREMISE.match(text)
    reasons = [match.span() for match in _REASON.finditer(text)] + ([premise.span()] if premise else [])
    kept = [one for one in found if not any(start <= one.start < end for start, end in reasons)] or found
    kept = [one for one in kept if not _LABEL.search(_before(text, one))] or kept
    if len(kept) > 1 and "=" in kept[-1].text and _PLACE.fullmatch(text, kept[-2].end, kept[-1].start):
        kept = kept[:-1]
    groups = _groups(text, _after_computation(text, kept))
    if len(groups) == 1:
        return _forms(groups[0])
    several = _interval(text, [group[0] for group in groups])
    several = _listed(text, groups) if several is None else several
    if several is not None:
        return several
    if any(_alternative(text, one[-1], other[0]) for one, other in itertools.pairwise(groups)):
        return ""
    stated = [group for group in groups if _STATES.search(_before(text, group[0]))]
    given = [group for group in groups if _GIVEN.search(_before(text, group[0]))]
    if all(len(group) == 1 and group[0].plain for group in groups):
        return _forms(stated[0]) if len(stated) == 1 and stated[0] not in given else None
    stated = stated or [group for group in groups if group not in given]
    return _forms(stated[0]) if len(stated) == 1 else ""


def _after_computation(text: str, found: list[Expression]) -> list[Expression]:
    """From the last result on: of "2 * 1 foot + 1 foot = 3 feet" what stands behind the sign of equality."""
    for index in range(len(found) - 1, 0, -1):
        one = found[index]
        if one.text.startswith("=") and not text[found[index - 1].end : one.start].strip():
            return [replace(one, text=one.text.lstrip("= "), plain=True), *found[index + 1 :]]
    return found


def _before(text: str, one: Expression) -> str:
    return text[max(0, one.start - NEAR) : one.start]


def _groups(text: str, found: list[Expression]) -> list[list[Expression]]:
    """Expressions that say one value again stand in one group."""
    groups: list[list[Expression]] = []
    for one in found:
        if groups and len(groups[-1]) < 4 and _says_again(text, groups[-1][-1], one):
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def _says_again(text: str, one: Expression, other: Expression) -> bool:
    between = _TAIL.sub("", text[one.end : other.start])
    if not re.search(r"\w|[(=]", between) or not _AGAIN.fullmatch(between.rstrip("$€ ") or " "):
        return False
    return bool(_same(one, other, about=bool(_ABOUT.search(between))))


def _same(one: Expression, other: Expression, *, about: bool) -> bool | None:
    a, b = read_quantity(one.text), read_quantity(other.text)
    if a is not None and b is not None and a.unit and b.unit and a.unit != b.unit:
        inside = convert(a, b.unit)
        return inside is not None and abs(inside - b.value) <= abs(b.value) * Fraction(1, 100)
    if a is not None and b is not None and a.value == b.value and not (a.percent or b.percent):
        return True
    bare = [
        _COLON.sub("/", _value(one.text)) if quantity is None or not quantity.unit else str(as_float(quantity.value))
        for one, quantity in ((one, a), (other, b))
    ]
    return same_value(bare[0], bare[1], about=about)


def _value(text: str) -> str:
    """The last side of an equation."""
    return _RELATION.split(text)[-1].strip()


def _forms(group: list[Expression]) -> str:
    forms: list[str] = []
    for one in group:
        forms += _sides(one.text)
    forms = list(dict.fromkeys(forms))
    return r" \approx ".join(forms) if len(forms) > 1 else forms[0]


def _sides(text: str) -> list[str]:
    """The sides of "0.5 = 1/2" where they say one value, the whole of "y = 2x + 3" and of "x > 5", the last side of
    another computation."""
    if _INEQUALITY.search(text):
        return [text]
    sides = [side.strip() for side in _RELATION.split(text)]
    if len(sides) == 1 or (
        len(sides) == 2 and "approx" not in text and re.fullmatch(r"[A-Za-z](?:\([A-Za-z]\))?", sides[0])
    ):
        return [text]
    sides = [side for side in sides if side] or [text]
    if _OF_VARIABLES.search(re.sub(r"\\[a-z]+", "", sides[0])):
        return [text]  # x^2 + y^2 = 25
    if all((quantity := read_quantity(side)) and quantity.unit for side in sides):
        return sides  # the forms of a quantity in several units
    about = "approx" in text
    kept = [side for side in sides[:-1] if same_value(side, sides[-1], about=about)]
    return [*kept[-2:], sides[-1]]


def _alternative(text: str, one: Expression, other: Expression) -> bool:
    """Whether a text offers one value or another."""
    return bool(re.fullmatch(r"[\s,(]*(?:\w+\s)?or\b[^.;]{0,24}", text[one.end : other.start], re.IGNORECASE))


def _interval(text: str, found: list[Expression]) -> str | None:
    """ "between 3 and 5" as an interval, "from 10 to 50" as nothing."""
    for one, other in itertools.pairwise(found):
        before = _BETWEEN.search(text[: one.start])
        if before and _UP_TO.fullmatch(text, one.end, other.start):
            return (
                f"({one.text}, {other.text})"
                if "between" in before.group().lower() and one.plain and not other.unit
                else ""
            )
        if one.unit and one.unit == other.unit and re.fullmatch(r"\s*(?:by|x|\\times)\s*", text[one.end : other.start]):
            return ""  # 4 cm by 6 cm
    return None


def _listed(text: str, groups: list[list[Expression]]) -> str | None:
    """ "2 and 5" as a list, where one follows the other and nothing else stands between or before them."""
    runs = [[groups[0][0]]]
    for last, group in itertools.pairwise(groups):
        if len(last) == len(group) == 1 and _LISTED.fullmatch(text, last[0].end, group[0].start):
            runs[-1].append(group[0])
        else:
            runs.append([group[0]])
    lists = [run for run in runs if len(run) > 1]
    if len(lists) != 1 or len({one.unit for one in lists[0]}) > 1:
        return None
    listed = lists[0]
    named = all("=" in one.text for one in listed)
    before = _before(text, listed[0])
    if (
        not named
        and not _PLURAL.search(before)
        and (_OR.search(text, listed[0].end, listed[-1].start) or not _STATES.search(before))
    ):
        return None
    return ", ".join(one.text for one in listed)
