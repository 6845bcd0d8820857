"""Numbers in running text, in digits and in words, each with its place and the unit, percent or currency beside it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from rap_plugin.grading.reading.chinese_numbers import chinese_numbers
from rap_plugin.grading.reading.compound_units import find_compounds
from rap_plugin.grading.reading.quantities import Quantity, read_quantity

_WIDE = str.maketrans(
    {chr(0xFF10 + d): str(d) for d in range(10)} | {"％": "%", "．": ".", "，": ",", "－": "-", "−": "-", "＝": "="}
)
_VULGAR = "½⅓⅔¼¾"
# A comma or a space inside a number needs a unit that shows it: "72,5 km/h", "384 400 km".
_MEASURED = r"(?=\s?(?:%|°|€|(?:k?g|[ckm]?m|km/h|m/s|l|ml|h|min|s|[ckm]?m[²³])(?![A-Za-z,])))"
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d{1,40})?|\d{1,60}(?:\.\d{1,40})?|\.\d{1,40})"
_NUMBER = re.compile(
    # Neither the 16 of "√16" nor the 30 of "12:30".
    rf"(?<![A-Za-z0-9.^\\_√])(?<!√\s)(?<!√\()(?<!sqrt\{{)(?<!sqrt\()(?<!\d:)(?<!\d/)(?<!π/)(?<!π /)(?<!π / )(?<![A-Za-z0-9)\]]-)(?<![±½])(?<!±\s)(?:[-+]\s?)?(?:\\?\$|[€£¥])?\s?-?"
    rf"(?:\d{{0,20}}\s?\\[dtc]?frac\s?\{{\s?-?{_DIGITS}\s?\}}\s?\{{\s?{_DIGITS}\s?\}}"
    rf"|\d{{0,9}}\s?[{_VULGAR}]|\d{{1,4}},\d{{1,2}}{_MEASURED}|[1-9]\d{{0,2}}(?: \d{{3}}){{1,4}}{_MEASURED}"
    rf"|{_DIGITS}(?:\s?(?:\\times|\\cdot|×|·|⋅|\*|x)\s?10\s?(?:\^\s?\{{?-?\d{{1,3}}\}}?|[⁻⁺⁰¹²³⁴-⁹]{{1,4}})|[eE][-+]?\d{{1,3}}(?!\w))?(?:\s\d{{1,6}}\s?/\s?\d{{1,6}}|\s?/\s?{_DIGITS})?)"
    # Nor a part of "1.2k", 3.5π or a date.
    r"(?![kM](?![A-Za-z])|\.\d|,\d{3}(?!\d)|\s?/\s?\d)"
    # 10², 288π, 3x, 8 + 4π and 2 ± 1 are other numbers than 10, 288, 3, 8 and 2.
    rf"(?![{_VULGAR}]|(?:[a-zA-Z]{{0,2}}[xyz]|[ije])(?![A-Za-z])|\s?[-+]\s?\d{{0,9}}\s?(?:π|√|\\pi|\\sqrt|pi\b|[xyz]\b)|\s?(?:±|\\pm))"
    r"(?!\d|\s?[²³⁰¹⁴-⁹π√]|\s?\\sqrt|\s?\^(?!\s?\{?\s?(?:\\circ|°|o\b))|\s?\*\*\s?\d|\s?\\?pi\b|:\d)"
)
# "72,5" without a unit is a decimal or a list.
_PAIR = re.compile(r"(?<![\d,.])\d{1,4},\d{1,2}(?![\d,]|\.\d)")
_SHORTENED = re.compile(r"(?<![\w.,])(\d{1,3}\.\d{1,3}|\d{2,3})([kM])(?![A-Za-z])")
_RADICAL = re.compile(r"√|sqrt")
_ROOT = re.compile(
    r"(?<![\w)}.+*/^-])(?<![\d)}+*/^-]\s)(?:√\s?(\d{1,12})|√\s?\((\d{1,12})\)|\\?sqrt\s?\((\d{1,12})\)|\\sqrt\s?\{(\d{1,12})\})(?!\d|\.\d|\s?[-+*/^×·±(])"
)
_UNIT = re.compile(
    r"\s?(?:\\?%|°\s?[CF]?\b|°|\\text\{\s?[A-Za-z%/^23 ]{1,20}\}|\^\s?\{?\\circ\}?"
    r"|(?:square |cubic |sq\.? )?[A-Za-zµΩ]{1,12}(?:\s?\^\s?\{?[23]\}?|[²³])?(?:\s?(?:/|per)\s?[A-Za-z]{1,8}(?:\^?[23]|[²³])?)?)"
)
_SCALE = re.compile(r"\s?(?:(?:hundred|thousand|million|billion|trillion)\b|[万亿])", re.IGNORECASE)
_NOT_UNITS = re.compile(
    r"\s?(?:in|a|an|m|h|t|k|n|v|j|w|s|g|d|l|is|and|or|of|i|to|the|min|are|more|less)\b(?=\s+[A-Za-z])", re.IGNORECASE
)

# "10 minus 5" subtracts.
_MINUS = re.compile(
    r"(?:^\W*|\b(?:is|are|was|were|to|of|at|about|equals|the|exactly|a)\s+|[=:,(]\s*)(?P<word>minus\s+)$|\bnegative\s+$",
    re.IGNORECASE,
)
_BELOW_ZERO = re.compile(
    r"\s?(?:°\s?[CF]?|degrees?)?(?: (?:celsius|fahrenheit))? below (?:zero|freezing)\b", re.IGNORECASE
)

_SMALL = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
_MULTIPLES = {"hundred": 100, "thousand": 1000, "million": 10**6}
_ONE_WORD = "|".join([*_SMALL, *_TENS, *_MULTIPLES])
_DIGIT_WORD = "|".join([*list(_SMALL)[:10], "oh"])
_DOZENS = {"half a": 6, "a": 12, "one": 12, "two": 24, "three": 36, "four": 48, "five": 60, "six": 72}
_SHARES = {
    "half": 2,
    "halves": 2,
    "third": 3,
    "thirds": 3,
    "quarter": 4,
    "quarters": 4,
    "fourth": 4,
    "fourths": 4,
    "fifth": 5,
    "fifths": 5,
    **{
        f"{word}{s}": n for n, word in enumerate(["sixth", "seventh", "eighth", "ninth", "tenth"], 6) for s in ("", "s")
    },
}
_WORDS = re.compile(
    rf"\b(?P<dozens>{'|'.join(_DOZENS)}) dozen\b|\ba (?P<pair>pair) of\b|\bhalf a (?P<half>{'|'.join(_MULTIPLES)})\b"
    rf"|\b(?P<whole>(?:{_ONE_WORD})(?:-(?:{_ONE_WORD}))?)\sand\s(?P<parts>an?|one|two|three)[\s-](?P<share>{'|'.join(_SHARES)})\b"
    rf"|\b(?:{_ONE_WORD})(?:(?:[\s-]|\sand\s)(?:{_ONE_WORD}))*\b(?:\spoint(?P<decimals>(?:\s(?:{_DIGIT_WORD}))+)\b)?",
    re.IGNORECASE,
)
_SHARE = re.compile(rf"[\s-](?:a )?({'|'.join(_SHARES)})\b", re.IGNORECASE)
_PART = re.compile(r"(?<!\sand\s)\ba (half|quarter|third|fourth|fifth)\b(?= of\b|\W*$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NumberToken:
    """A number at text[start:end]; `words`: it is written in words."""

    quantity: Quantity
    start: int
    end: int
    words: bool = False


def number_tokens(text: str) -> Iterator[NumberToken]:
    """The numbers written in digits, in order."""
    plain = text[:20_000].translate(_WIDE)
    others = [*_whole_roots(plain), *_shortened(plain)]
    yield from sorted([*others, *_written(plain)], key=lambda token: token.start) if others else _written(plain)


def _written(plain: str) -> Iterator[NumberToken]:
    pairs = [match.span() for match in _PAIR.finditer(plain)] if "," in plain else []
    for match in _NUMBER.finditer(plain):
        number = match.group().strip()
        start = match.end() - len(match.group().lstrip())
        if "," not in number and any(first <= start < last for first, last in pairs):
            continue
        scale = _SCALE.match(plain, match.end())
        end = scale.end() if scale else match.end()
        unit = _UNIT.match(plain, end)
        token = None
        if unit and not _NOT_UNITS.match(plain, end) and unit.end() < len(plain) + 1:
            token = _token(plain[start : unit.end()], start, unit.end())
        token = token or _token(plain[start:end], start, end) or _token(number, start, match.end())
        if token is not None:
            yield _signed(plain, token)


def _shortened(plain: str) -> Iterator[NumberToken]:
    """ "1.2k" as 1,200."""
    for match in _SHORTENED.finditer(plain):
        value = Fraction(match.group(1)) * (1000 if match.group(2) == "k" else 10**6)
        yield NumberToken(Quantity(value, True, text=match.group()), *match.span())


def _whole_roots(plain: str) -> Iterator[NumberToken]:
    """ "√16" as 4; not a root that is no whole number."""
    for match in _ROOT.finditer(plain) if _RADICAL.search(plain) else ():
        below = int(next(group for group in match.groups() if group))
        root = math.isqrt(below)
        if root * root == below:
            yield NumberToken(Quantity(Fraction(root), True, text=match.group()), *match.span())


def with_compounds(text: str, tokens: list[NumberToken], unit: str) -> list[NumberToken] | None:
    """The numbers with "2 hours and 30 minutes" as one, in the unit that was asked for; None where none was."""
    for start, end, forms in find_compounds(text.translate(_WIDE)):
        read = [quantity for form in forms.split(r" \approx ") if (quantity := read_quantity(form)) is not None]
        whole = next((quantity for quantity in read if quantity.unit == unit or len(read) == 1), None)
        if whole is None:
            return None
        outside = [token for token in tokens if token.end <= start or token.start >= end]
        one = NumberToken(replace(whole, text=text[start:end]), start, end)
        tokens = sorted([*outside, one], key=lambda token: token.start)
    return tokens


def _signed(text: str, token: NumberToken) -> NumberToken:
    """The number below zero where words say so: "minus 5", "negative five", "5 degrees below zero"."""
    before = _MINUS.search(text[max(0, token.start - 24) : token.start])
    after = _BELOW_ZERO.match(text, token.end)
    if (before is None and after is None) or token.quantity.value <= 0:
        return token
    quantity = replace(token.quantity, value=-token.quantity.value)
    start = token.start - (len(before["word"] or before.group()) if before else 0)
    return replace(token, quantity=quantity, start=start, end=after.end() if after else token.end)


def _token(text: str, start: int, end: int) -> NumberToken | None:
    quantity = read_quantity(text)
    return NumberToken(quantity, start, end) if quantity is not None else None


def word_tokens(text: str) -> Iterator[NumberToken]:
    """The numbers written in words: "three", "twenty-five", "a dozen", "two and a half"."""
    for match in _WORDS.finditer(text[:20_000]):
        value = _value_of(match)
        quoted = text[match.start() - 1 : match.start()] in ('"', "“", "'") and match.start() > 0
        share = None if match["share"] else _SHARE.match(text, match.end())
        if share and _is_tens(match.group()):
            continue
        if share:
            part = value / _SHARES[share.group(1).lower()]
            yield NumberToken(
                Quantity(part, False, text=match.group() + share.group()), match.start(), share.end(), words=True
            )
        elif not quoted:
            quantity = Quantity(value, value.denominator == 1, text=match.group())
            token = NumberToken(quantity, *match.span(), words=True)
            yield _signed(text[:20_000], token)
    for match in _PART.finditer(text[:20_000]):
        part = Fraction(1, _SHARES[match.group(1).lower()])
        yield NumberToken(Quantity(part, False, text=match.group()), *match.span(), words=True)
    for value, percent, span in chinese_numbers(text[:20_000]):
        quantity = Quantity(value, True, percent=percent, text=text[slice(*span)])
        yield NumberToken(quantity, *span, words=True)


def _is_tens(words: str) -> bool:
    """Whether "twenty" or "hundred" ends it: what looks like a share behind that is an ordinal, "twenty-fifth"."""
    return re.split(r"[\s-]+", words.lower())[-1] in {*_TENS, *_MULTIPLES}


def _value_of(match: re.Match[str]) -> Fraction:
    if match["share"]:
        parts = Fraction({"two": 2, "three": 3}.get(match["parts"].lower(), 1), _SHARES[match["share"].lower()])
        return parts + sum(
            _SMALL.get(word) or _TENS.get(word) or _MULTIPLES.get(word, 0) for word in match["whole"].lower().split("-")
        )
    if match["dozens"]:
        return Fraction(_DOZENS[match["dozens"].lower()])
    if match["pair"]:
        return Fraction(2)
    if match["half"]:
        return Fraction(_MULTIPLES[match["half"].lower()], 2)
    whole, *_ = match.group().lower().split(" point ")
    digits = "".join(str(_SMALL.get(word, 0)) for word in (match["decimals"] or "").lower().split())
    total = current = 0
    for word in re.split(r"[\s-]+", whole):
        if word in _SMALL:
            current += _SMALL[word]
        elif word in _TENS:
            current += _TENS[word]
        elif word == "hundred":
            current = max(1, current) * 100
        elif word in _MULTIPLES:
            total, current = total + max(1, current) * _MULTIPLES[word], 0
    return total + current + Fraction(int(digits or 0), 10 ** len(digits))
