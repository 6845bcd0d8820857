"""Golds as data sets write them: with a name, a unit, a bearing, several lines, a broken degree sign; rounded."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache

from rap_plugin.grading.reading.formulas import split_name
from rap_plugin.grading.reading.notation import clean_math
from rap_plugin.grading.reading.quantities import read_quantity

MIN_DIGITS = 3
"""Significant digits that an answer with fewer decimals than the gold must have."""

_BROKEN_DEGREES = re.compile(r"(?<=\d)\s?(?:Â\s?°|â°|âˆ˜|Ëš|Âº|掳|¡ã|\ufffd|\\textdegree(?![A-Za-z]))")
_REMARK = re.compile(
    r"\(\s?(?:(?:rounded|correct|accurate|exact|given|answer)\b|(?:to|nearest)\s?(?:the )?(?:nearest|one|two|three|[0-9])|[0-9]\s?(?:d\.?p\b|dec))[^()]{0,60}\)",
    re.IGNORECASE,
)
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s?\{(?:aligned|align\*?|gathered|array|split)\}(?:\{[lcr]+\})?")
_CASES = re.compile(r"\\left\s?\\?\{\s?(?=\\begin)|\\(?:begin|end)\s?\{cases\}(?:\s?\\right\s?\.)?")
_NAMED = re.compile(r"\s*(?:[A-Za-z][A-Za-z .'’()_\\]{0,40}|\\[a-z]+)\s*=\s*(?P<value>.+)", re.DOTALL)
_LONG_NAME = re.compile(r"^(?=[^=]*[A-Za-z][^=]*[A-Za-z])[A-Za-z][A-Za-z .'’]{0,40}[=:]\s*(?=[-\d\\(√])")
_GREEK_NAME = re.compile(r"^\\(?:theta|alpha|beta|gamma|phi|angle\s?\w{1,4})\s?=\s?(?=[-\d])")
_BEARING = re.compile(r"(?<=\d)\s?°\s?T$|(?<=\b\d{3})\s?T$")
_COMPASS = re.compile(r"^(?P<from>[NS])\s?(?P<angle>\d{1,2}(?:\.\d{1,4})?)\s?°\s?(?P<to>[EW])(?:\s?T)?$", re.IGNORECASE)
_ALL_REALS = re.compile(
    r"(?:x\s?(?:\\in\s?)?)?(?:(?:the set of )?all (?:the )?real numbers|\\mathbb\s?\{?\s?R\s?\}?|\(\s?-\s?\\infty\s?,\s?\+?\s?\\infty\s?\)|-\s?\\infty\s?<\s?[xy]\s?<\s?\\infty)",
    re.IGNORECASE,
)
# The set of all numbers that meet a condition is the condition.
_SET_BUILDER = re.compile(
    r"(?:\\?\{\s?)?(?P<name>[A-Za-z])\s?(?:\\in\s?(?:\\mathbb\s?\{?\s?R\s?\}?|R)\s?)?(?:\\mid|\\vert|\||:)\s?(?P<condition>(?=[^{}]*[<>=]|[^{}]*\\(?:le|ge|ne|lt|gt))"
    r"(?=[^{}]*(?<![A-Za-z\\])(?P=name)(?![A-Za-z]))[^{},;]{3,80}?)(?:\s?\\?\})?"
)
# "2n-1, n ∈ N*"
_DOMAIN = re.compile(
    r"(?:,\s?|\s?\(\s?)(?:where\s)?[a-zA-Z]\s?\\in\s?(?:\\mathbb\s?)?\{?\s?[NZ]\s?\}?(?:\s?[\^_]\s?\{?\s?(?:\*|\+|\\ast)\s?\}?)?\s?\)?$"
)
_RATIO = re.compile(r"\d[\d,.]{0,20}(?:\s?:\s?\d[\d,.]{0,20}){1,4}")
_RELATION_SIGN = re.compile(r"<=|>=|[<>=]|\\(?:leq?|geq?|neq?|lt|gt|approx)(?:slant)?(?![A-Za-z])")
_SAME_SIGN = {
    "<=": r"\le",
    ">=": r"\ge",
    r"\leq": r"\le",
    r"\geq": r"\ge",
    r"\neq": r"\ne",
    r"\lt": "<",
    r"\gt": ">",
    r"\leqslant": r"\le",
    r"\geqslant": r"\ge",
}
_TO = re.compile(r"(\d{1,9}) (?:to|out of|in|for every) (\d{1,9})")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
# "(0, ±2)" is two points.
_EITHER_SIGN = re.compile(r"\(([^()\\]{0,40},\s?)?\\pm\s?([^(),+-]{1,40})(,[^()]{1,40})?\)")
_GENERIC_UNIT = re.compile(r"\s?(?:(?:cubic|square|sq\.?)\s)?units?(?:\s?\^\s?\{?\s?[23]\s?\}?)?$", re.IGNORECASE)
_MINUTES = re.compile(r"^(-?\d{1,3})\s?°\s?(\d{1,2})\s?(?:'|′|\^\s?\{?\s?\\prime\s?\}?)$")
_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3}){1,9}|\d{1,30})?(?:\.\d{1,30})?")
_DECIMALS = re.compile(r"[-\d,]*\.(\d{1,30})")


@lru_cache(maxsize=2048)
def plain_value(text: str) -> str:
    """A gold or an answer without what stands around its value: "Volume $=904.78 \\mathrm{~units}^{3}$" is "904.78",
    "$212^{\\circ} \\mathrm{T}$" is "212°", lines "x=5", "y=3" are "x=5, y=3". Known units stay, and one-letter names."""
    text = _REMARK.sub(" ", _BROKEN_DEGREES.sub("°", text))
    text = clean_math(_one_line(text))
    if r"\in" in text:
        text = _DOMAIN.sub("", text)
    if builder := _SET_BUILDER.fullmatch(text):
        text = builder["condition"]
    if ":" in text and _RATIO.fullmatch(text):
        text = _THOUSANDS.sub("", text)
    if either := _EITHER_SIGN.fullmatch(text):
        before, value, after = (part or "" for part in either.groups())
        text = f"({before}{value}{after}), ({before}-{value}{after})"
    text = _GREEK_NAME.sub("", _LONG_NAME.sub("", text))
    text = _BEARING.sub("°", text)
    text = _GENERIC_UNIT.sub("", text) or text
    compass = _COMPASS.match(text)
    if compass:
        return _true_bearing(compass)
    if _ALL_REALS.fullmatch(text):
        return r"(-\infty,\infty)"
    minutes = _MINUTES.match(text)
    if minutes:
        return rf"\frac{{{60 * int(minutes[1]) + int(minutes[2])}}}{{60}}°"
    return text.strip()


def _true_bearing(compass: re.Match[str]) -> str:
    """ "S32°W" as "212°", counted clockwise from north."""
    angle = Fraction(compass["angle"])
    if compass["from"].upper() == "S":
        angle = 180 + angle if compass["to"].upper() == "W" else 180 - angle
    elif compass["to"].upper() == "W":
        angle = 360 - angle
    return f"{float(angle):g}°"


def _one_line(text: str) -> str:
    """Several named values as a list; the steps of one computation as its name and last value."""
    bare = _ENVIRONMENT.sub("\n", text)
    if bare != text:
        bare = bare.replace("&", " ")
        bare = re.sub(r"\\\\(?:\[[^\]]{0,10}\])?", "\n", bare)
    if _CASES.search(text):
        bare = _CASES.sub("\n", text).replace("&", " ").replace(r"\\", "\n")
    lines = [line.strip(" $,;") for line in bare.splitlines()]
    lines = [line for line in lines if line]
    if len(lines) < 2:
        return text if bare == text else "".join(lines)
    if all(_NAMED.fullmatch(line) for line in lines):
        return ", ".join(lines)
    if _CASES.search(text):
        return text  # a function in pieces
    if all(line.startswith("=") for line in lines[1:]):
        return lines[0].split("=")[0] + lines[-1]
    return text


def ratio_in(text: str) -> str:
    """The one ratio that a text states, "3:4" of "3 to 4, i.e. 3:4"; "" where it states none or several."""
    if stated := _TO.fullmatch(clean_math(text)[:60]):
        return f"{stated[1]}:{stated[2]}"
    found = {match.group().strip() for match in _RATIO.finditer(clean_math(text)[:500])}
    return found.pop() if len(found) == 1 else ""


def says_all_reals(text: str) -> bool:
    """Whether a gold is the real numbers, in words or in signs."""
    return bool(_ALL_REALS.fullmatch(clean_math(text)))


def is_ratio(text: str) -> bool:
    """Whether a gold is numbers with colons between them."""
    return bool(_RATIO.fullmatch(text))


def relation_sign(text: str) -> str:
    """The one relation sign of a text, as of "a > b"; "" where it has none or several."""
    found = _RELATION_SIGN.findall(clean_math(text))
    return _SAME_SIGN.get(found[0], found[0]) if len(found) == 1 else ""


def decimals_of(gold: str) -> int | None:
    """How many decimals a gold that is one decimal number has; None for another one. See `plain_value`."""
    number = number_of(gold)
    match = _DECIMALS.fullmatch(number) if number else None
    return len(match.group(1)) if match else None


def number_of(text: str) -> str | None:
    """The number of a quantity with a unit, or of a named one: "113.1" of "113.1 cm^2" and of "x = 113.1"; else None."""
    value = split_name(text)[1]
    quantity, match = read_quantity(value), _NUMBER.match(value)
    if quantity is None or quantity.percent or match is None:
        return None
    number = read_quantity(match.group())
    return match.group() if number is not None and number.value == quantity.value else None


def rounding_tolerance(gold: str) -> float:
    """The relative tolerance under which an answer rounds to a gold with decimals; 0 for a gold without."""
    decimals, quantity = decimals_of(gold), read_quantity(split_name(gold)[1])
    if decimals is None or quantity is None or quantity.value == 0:
        return 0.0
    return float(0.5 * 10.0**-decimals / abs(quantity.value)) * (1 + 1e-9)


def rounds_to(gold: str, said: str) -> bool:
    """Whether an answer with fewer decimals than the gold is the gold rounded to them: 904.8 for 904.78, not 905."""
    ours, theirs = read_quantity(split_name(gold)[1]), read_quantity(split_name(said)[1])
    wanted, given = decimals_of(gold), decimals_of(said)
    if ours is None or theirs is None or wanted is None or given is None or not 1 <= given < wanted:
        return False
    if ours.unit and theirs.unit and ours.unit != theirs.unit:
        return False
    if len(re.sub(r"\D", "", number_of(said) or "").lstrip("0")) < MIN_DIGITS:
        return False
    try:
        exact = Decimal(ours.value.numerator) / Decimal(ours.value.denominator)
        step = Decimal(1).scaleb(-given)
        return exact.quantize(step, ROUND_HALF_UP) * theirs.value.denominator == theirs.value.numerator
    except (InvalidOperation, OverflowError):
        return False
