"""An answer that is one number and words about it: "about 40", "five", "Rs 500", "24 (cm)", "7/8 of the pie", "half past 3"."""

from __future__ import annotations

import re

from rap_plugin.grading.reading.notation import clean_math
from rap_plugin.grading.reading.numbers import read_number
from rap_plugin.grading.reading.quantities import read_quantity

MAX_CHARS = 120
"""A longer text is no number alone."""

_CHANGES = r"(?:(?:it|an?)\s)?(?:increas|decreas|ris|fall|grow|drop|reduc)[a-z]{0,5}\s(?:by|of)\s"
_STATES = (
    r"the\s[a-z]{2,16}(?:\s[a-z]{2,16}){0,3}\s(?:is|are|was|equals)\s|(?:it|there|that|this)\s(?:is|are|was|were)\s"
)
_HEDGES = r"about|approximately|approx\.?|around|roughly|circa|约|大约|约为|\\approx|\\sim|[≈~]"
_LEAD = re.compile(
    rf"(?:{_CHANGES}|{_STATES}|(?:{_HEDGES}|the|in|year|only|just|exactly|equals?|equal to|[=:])\s?){{1,4}}",
    re.IGNORECASE,
)
_CURRENCIES = {
    "rs": "rupees",
    "inr": "rupees",
    "usd": "dollars",
    "us$": "dollars",
    "eur": "euros",
    "rmb": "yuan",
    "cny": "yuan",
}
_PRICE = re.compile(r"(rs\.?|inr|usd|us\\?\$|eur|rmb|cny)\s?(?=\d)", re.IGNORECASE)
_BRACKET = re.compile(r"\s?\(\s?([A-Za-z°][A-Za-z°^{}\d/ ]{0,20})\)$")
_SHARE_OF = re.compile(r"\s(?:of|in)\s(?:the\s|a\s)?[a-z]{2,20}(?:\s[a-z]{2,20})?$")
_ERA = re.compile(r"(?<=\d)\s?(?:A\.?D\.?|C\.?E\.?)$")
_WORDS = re.compile(r"[A-Za-z ,'-]{3,80}|[\u4e00-\u9fff]{1,20}")
_SEVERAL = re.compile(r"(?<!hundred)(?<!thousand) and |,")
_PERCENT = re.compile(r"\bper ?cent\b", re.IGNORECASE)
_CLOCK = re.compile(r"(half|quarter) (past|to) (\d{1,2}|[a-z]{3,6})|(\d{1,2}) o'?clock")
_TIME = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?")
_HALF_OF_DAY = re.compile(r"\s?(?:[ap]\.?\s?m\.?|o'?clock)$", re.IGNORECASE)


def number_alone(text: str) -> str:
    """The number as digits, with the unit that stands beside it; "" where the text is another thing."""
    if len(text) > MAX_CHARS:
        return ""
    clean = clean_math(text)
    if not re.search(r"\d", clean):
        return _spelled(clean)
    lead = _LEAD.match(clean)
    clean = clean[lead.end() :] if lead else clean
    if price := _PRICE.match(clean):
        clean = f"{clean[price.end() :]} {_CURRENCIES[price[1].lower().rstrip('.').replace(chr(92), '')]}"
    clean = _ERA.sub("", _SHARE_OF.sub("", _BRACKET.sub(r" \1", clean)))
    return clean if read_quantity(clean) else ""


def _spelled(text: str) -> str:
    """ "twenty-five apples" and 五 in digits. What compares ("at least five"), counts on ("fifth") or chooses is not read."""
    if not _WORDS.fullmatch(text) or _SEVERAL.search(text):
        return ""
    value = read_number(text).value
    if value is None:
        return ""
    number = value.value
    digits = str(number.numerator) if number.denominator == 1 else f"{number.numerator}/{number.denominator}"
    return f"{digits}%" if value.percent or _PERCENT.search(text) else digits


def is_time(text: str) -> bool:
    """Whether a gold is a time of the clock in digits, "3:30"."""
    return bool(_TIME.fullmatch(text.strip()))


def time_of(text: str) -> str:
    """A time of the clock in digits: "3:30" of "3:30 PM", "03:30" and "half past 3"; "" where the text is none."""
    clean = clean_math(text).lower()
    bare = _HALF_OF_DAY.sub("", clean)
    if _TIME.fullmatch(bare):
        return bare.lstrip("0") if not bare.startswith("0:") and not bare.startswith("00:") else bare
    said = [*_CLOCK.finditer(clean)]
    if len(said) != 1:
        return ""
    part, side, hour, full = said[0].groups()
    spoken = hour or full
    number = spoken if spoken.isdigit() else _spelled(spoken)
    if not number.isdigit() or not 0 < int(number) < 25:
        return ""
    if full:
        return f"{full}:00"
    minutes = 30 if part == "half" else 15
    if side == "past":
        return f"{number}:{minutes}"
    return f"{(int(number) - 2) % 12 + 1}:{60 - minutes}"
