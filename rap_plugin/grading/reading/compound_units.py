"""Quantities in two or three units, "2 hours and 30 minutes", and what one unit is in another."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

from rap_plugin.grading.reading.notation import clean_math
from rap_plugin.grading.reading.quantities import Quantity, as_float, read_quantity

MAX_PARTS = 3

# How many of the smallest unit of its kind one unit is.
_KINDS: tuple[dict[str, Fraction], ...] = (
    {"s": Fraction(1), "min": Fraction(60), "h": Fraction(3600), "d": Fraction(86400), "week": Fraction(604800)},
    {"in": Fraction(1), "ft": Fraction(12), "yd": Fraction(36), "mi": Fraction(63360)},
    {"mm": Fraction(1), "cm": Fraction(10), "dm": Fraction(100), "m": Fraction(1000), "km": Fraction(10**6)},
    {"mg": Fraction(1), "g": Fraction(1000), "kg": Fraction(10**6), "t": Fraction(10**9)},
    {"oz": Fraction(1), "lb": Fraction(16)},
    {"ml": Fraction(1), "l": Fraction(1000)},
    {"cent": Fraction(1), "usd": Fraction(100)},
    {"cent": Fraction(1), "eur": Fraction(100)},
    {"month": Fraction(1), "yr": Fraction(12)},
    {"arcsec": Fraction(1), "arcmin": Fraction(60), "deg": Fraction(3600)},
)
_NAMES = {"usd": "dollars", "eur": "euros", "deg": "°"}
_PRIMES = re.compile(
    r"(?P<feet>\d{1,3})\s?(?:'|′)\s?(?P<inches>\d{1,2}(?:\.\d{1,4})?)\s?(?:\"|″|'')"
    r"|(?P<degrees>-?\d{1,3})\s?°\s?(?P<minutes>\d{1,2})\s?(?:'|′|\^\s?\{?\s?\\prime\s?\}?)"
)
_TWO_NUMBERS = re.compile(r"\d\D+\d")
_JOINT = re.compile(r"\s{0,3}(?:,\s?)?(?:and\s|&\s)?\s{0,3}")
_PART = re.compile(
    r"\d{1,9}(?:\.\d{1,9})?\s?-?\s?(?:°|(?:degrees|hours?|hrs?|h|minutes?|mins?|seconds?|secs?|s|days?|weeks?|months?|years?|yrs?|feet|foot|ft|inches|inch|in|yards?|yd|miles?|mi"
    r"|kilomet(?:er|re)s?|km|met(?:er|re)s?|m|centimet(?:er|re)s?|cm|millimet(?:er|re)s?|mm|kilograms?|kg|grams?|g|milligrams?|mg|tons?|tonnes?|pounds?|lbs?|ounces?|oz"
    r"|lit(?:er|re)s?|L|l|millilit(?:er|re)s?|mL|ml|dollars?|euros?|cents?)(?![A-Za-z^]|\s?[²³/]|\s+per\b))\.?"
)


def convert(quantity: Quantity, unit: str) -> Fraction | None:
    """The value of a quantity in another unit of its kind; None where the units are of two kinds."""
    for kind in _KINDS:
        if quantity.unit in kind and unit in kind:
            return quantity.value * kind[quantity.unit] / kind[unit]
    return None


def find_compounds(text: str) -> list[tuple[int, int, str]]:
    """(start, end, the forms of its value) of every quantity in several units in a text in the notation of `clean_math`."""
    found = []
    for match in _PRIMES.finditer(text):
        if match["feet"]:
            found.append((*match.span(), _forms(_quantities(f"{match['feet']} ft", f"{match['inches']} in"))))
        else:
            found.append((*match.span(), _forms([*_quantities(match["degrees"] + " °"), _arc(match["minutes"])])))
    parts = list(_PART.finditer(text))
    at = 0
    while at < len(parts):
        run = [parts[at]]
        while (
            at + len(run) < len(parts)
            and len(run) < MAX_PARTS
            and _JOINT.fullmatch(text, run[-1].end(), parts[at + len(run)].start())
        ):
            run.append(parts[at + len(run)])
        while len(run) > 1 and not _falls([part.group() for part in run]):
            run.pop()
        if len(run) > 1:
            found.append((run[0].start(), run[-1].end(), _forms(_read([part.group() for part in run]))))
        at += len(run)
    return [one for one in sorted(found) if one[2]]


def compound_forms(text: str) -> str:
    """The forms of a text that is a quantity in several units, joined by \\approx: "150 min \\approx 2.5 h"; else ""."""
    if len(text) > 80 or not _TWO_NUMBERS.search(text):
        return ""
    bare = clean_math(text)
    whole = [forms for start, end, forms in find_compounds(bare) if start == 0 and end >= len(bare.rstrip(" ."))]
    return whole[0] if whole else ""


def _quantities(*texts: str) -> list[Quantity]:
    return [quantity for text in texts if (quantity := read_quantity(text)) is not None]


def _arc(minutes: str) -> Quantity:
    return Quantity(Fraction(minutes), True, unit="arcmin")


def _read(texts: list[str]) -> list[Quantity]:
    read = _quantities(*(text.rstrip(".").replace("-", " ") for text in texts))
    if read and read[0].unit == "deg":
        names = {"min": "arcmin", "s": "arcsec"}
        read = [Quantity(one.value, one.exact, unit=names.get(one.unit, one.unit)) for one in read]
    return read


def _falls(texts: list[str]) -> bool:
    """Whether each part is in a smaller unit of one kind, less than one of the unit before it, the first ones whole."""
    read = _read(texts)
    if len(read) != len(texts) or any(one.value.denominator != 1 for one in read[:-1]):
        return False
    for above, below in itertools.pairwise(read):
        whole = convert(Quantity(Fraction(1), True, unit=above.unit), below.unit)
        if whole is None or whole <= 1 or abs(below.value) >= whole:
            return False
    return True


def _forms(parts: list[Quantity]) -> str:
    if len(parts) < 2:
        return ""
    sign = -1 if parts[0].value < 0 else 1
    totals = []
    for unit in dict.fromkeys([parts[-1].unit, parts[0].unit]):
        values = [convert(part, unit) for part in parts]
        if None in values:
            return ""
        total = sign * sum((abs(value) for value in values if value is not None), Fraction(0))
        number = (
            f"{as_float(total):.12g}" if not _thirds(total) else rf"\frac{{{total.numerator}}}{{{total.denominator}}}"
        )
        totals.append(number if unit.startswith("arc") else f"{number} {_NAMES.get(unit, unit)}")
    if parts[-1].unit.startswith("arc"):
        totals = totals[1:]  # minutes of arc alone are no usual answer
    return r" \approx ".join(totals)


def _thirds(value: Fraction) -> bool:
    bottom = value.denominator
    for prime in (2, 5):
        while bottom % prime == 0:
            bottom //= prime
    return bottom != 1
