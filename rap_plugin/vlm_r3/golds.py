"""Gold answers of region problems: what a row holds as one, and the answers that it accepts.

VLM-R3's rows list alternatives with "/" between them: "red/crimson". A slash also stands in what is one answer: a fraction (3/4, x/2,
\\pi/6), a date, a unit (60 km/h), a name (N/A). Taken apart, "6" would be right where the answer is \\pi/6, so such a gold stays whole.
"""

from __future__ import annotations

import re
from typing import Any, Final

from rap_plugin.samples.formats.base import RowProblem
from rap_plugin.samples.formats.values import gold_text

LONGEST: Final = 2_000
"""Characters of a gold that is taken apart; longer ones are one answer."""

WHOLE: Final = frozenset({"n/a", "and/or", "w/o", "i/o", "tcp/ip", "ac/dc"})
"""Names with a slash in them."""

_UNITS: Final = {
    "time": "s sec secs second seconds min mins minute minutes h hr hrs hour hours d day days week weeks month months yr year years",
    "length": "mm cm dm m km in inch inches ft foot feet yd mi mile miles meter meters metre metres kilometer kilometers",
    "mass": "mg g kg t lb lbs oz gram grams kilogram kilograms",
    "volume": "ml l dl liter liters litre litres gal gallon gallons",
    "area": "cm2 m2 km2 cm^2 m^2 km^2 cm² m² km²",
    "space": "mm3 cm3 dm3 m3 cm^3 dm^3 m^3 cm³ dm³ m³",
    "seconds": "s2 s^2 s²",
    "money": "$ € £ ¥ usd eur cent cents dollar dollars euro euros yuan",
    "count": "mol person people student students item items unit",
    "other": "n j w v c k °c °f pa kj mj cal kcal rad deg degree degrees rev bit bits byte bytes mb gb word words beat beats",
}
_KINDS: Final = {name: kind for kind, names in _UNITS.items() for name in names.split()}

_FORMULA = re.compile(
    r"(?:[\d\s.,+*^=:()\[\]{}$%°√π·×|_!'′<>−-]|\\[a-zA-Z]+|\\[,;!{}]|(?:sqrt|sin|cos|tan|log|ln|pi)(?![a-zA-Z])|(?<![a-zA-Z])[a-zA-Z](?![a-zA-Z]))+"
)
_SIGN = re.compile(r"[\d√π]|\\[a-zA-Z]")
_NUMBER = re.compile(r"[$€£¥]?\s{0,3}([-+−]?\d[\d,]{0,20}(?:\.\d{1,20})?)\s{0,3}(%?)")
_MIXED = re.compile(r"[-+−]?\s{0,3}(?:\d{1,9}\s{1,3})?(\d{1,9})\s{0,3}/\s{0,3}(\d{1,9})(?![\d.,])")
_MEASURED = re.compile(r"[-+−]?[$€£¥]?\s{0,3}\d[\d.,]{0,20}(?!\d|st\b|nd\b|rd\b|th\b)\s{0,3}(.{0,40})", re.DOTALL)


def one_gold(value: Any) -> str:
    """A row's gold answer as text; empty where it holds none, or several that nothing parts."""
    try:
        return gold_text(value)
    except RowProblem:
        return ""


def alternatives(gold: str) -> list[str]:
    """The answers that a gold accepts: the parts of "red/crimson"; all of it where the slash is part of one answer."""
    gold = gold.strip()
    parts = [part.strip() for part in gold.split("/")]
    if len(parts) < 2 or len(gold) > LONGEST or _is_one(gold, parts):
        return [gold] if gold else []
    return [part for part in parts if part]


def _is_one(gold: str, parts: list[str]) -> bool:
    """Whether the slashes of a gold part no alternatives."""
    if "://" in gold or gold.casefold() in WHOLE or not all(map(_closed, parts)):
        return True
    mixed = _MIXED.match(gold)
    if mixed and gold.count("/") == 1 and (mixed.end() == len(gold) or mixed[1] != mixed[2]):
        return True
    if all(_FORMULA.fullmatch(part) for part in parts) and _SIGN.search(gold):
        return not _same_number(parts)
    return len(parts) == 2 and _is_rate(*parts)


def _closed(part: str) -> bool:
    """Whether all brackets and dollar signs of a part are closed in it; a dollar in front of a number is money."""
    pairs = all(part.count(one) == part.count(other) for one, other in ("()", "[]", "{}"))
    return pairs and (part.count("$") % 2 == 0 or bool(re.match(r"\$\s{0,3}\d[^$]*\Z", part)))


def _same_number(parts: list[str]) -> bool:
    """Whether the parts are ways to write one number: "0.5/50%", "1000/1,000"."""
    found = [_NUMBER.fullmatch(part) for part in parts]
    if not all(found):
        return False
    values = [
        round(float(one[1].replace(",", "").replace("−", "-")) / (100 if one[2] else 1), 9) for one in found if one
    ]
    return len(set(values)) == 1


def _is_rate(what: str, per: str) -> bool:
    """Whether two parts are a unit over another: "60 km" and "h". Ways to write one unit ("5 min", "minutes") are not."""
    under = _KINDS.get(per.casefold().rstrip("."))
    if under is None:
        return False
    measured = _MEASURED.fullmatch(what)
    unit = (measured[1] if measured else what).strip().casefold()
    over = _KINDS.get(unit) or _KINDS.get(unit.partition(" ")[0])
    return over != under if measured else over is not None and over != under
