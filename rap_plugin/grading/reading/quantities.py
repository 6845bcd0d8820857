"""Numbers with their unit, percent or currency sign, read exactly and without a computer algebra system.

Most golds and answers of a pool are such quantities. Reading them here makes the common comparison exact,
takes microseconds, and needs no worker.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

from rap_plugin.grading.reading.notation import clean_math, usual_signs

MAX_CHARS = 200
_DIGIT = re.compile(r"[\d½⅓⅔¼¾]")
_MAX_EXPONENT = 1000

_UNITS = {
    name: canonical
    for canonical, names in {
        "mm": "mm millimeter millimeters millimetre millimetres 毫米",
        "cm": "cm centimeter centimeters centimetre centimetres 厘米",
        "dm": "dm 分米",
        "m": "m meter meters metre metres 米",
        "km": "km kilometer kilometers kilometre kilometres 千米 公里",
        "in": "in inch inches",
        "ft": "ft foot feet",
        "yd": "yd yard yards",
        "mi": "mi mile miles",
        "mg": "mg milligram milligrams",
        "g": "g gram grams 克",
        "kg": "kg kilogram kilograms 千克 公斤",
        "t": "tonne tonnes ton tons 吨",
        "lb": "lb lbs pound pounds",
        "oz": "oz ounce ounces",
        "s": "s sec secs second seconds 秒",
        "ms": "ms millisecond milliseconds",
        "min": "min mins minute minutes 分钟",
        "h": "h hr hrs hour hours 小时",
        "d": "day days 天",
        "week": "week weeks",
        "month": "month months 个月",
        "yr": "yr yrs year years 年",
        "deg": "deg degree degrees ° 度",
        "rad": "rad radian radians",
        "degc": "°c",
        "degf": "°f",
        "k": "K kelvin",
        "l": "l L liter liters litre litres 升",
        "ml": "ml mL milliliter milliliters 毫升",
        "n": "N newton newtons",
        "j": "J joule joules",
        "kj": "kJ",
        "w": "W watt watts",
        "kw": "kW",
        "v": "V volt volts",
        "a": "A amp amps ampere amperes",
        "ohm": "ohm ohms Ω",
        "kohm": "kΩ",
        "uf": "μF µF",
        "um": "μm µm",
        "us": "μs µs",
        "ma": "mA",
        "mv": "mV",
        "kv": "kV",
        "kn": "kN",
        "kwh": "kWh",
        "mw": "MW",
        "mhz": "MHz",
        "ghz": "GHz",
        "ev": "eV",
        "hz": "Hz hz",
        "pa": "Pa pa",
        "kpa": "kPa kpa",
        "mol": "mol mole moles",
        "mph": "mph",
        "kmh": "kmh kph",
        "usd": "$ usd dollar dollars",
        "cent": "cent cents",
        "eur": "€ euro euros",
        "gbp": "£",
        "yen": "¥ yuan rmb yen 元",
        "inr": "₹ rupee rupees",
        "krw": "₩ won",
        "rub": "₽ ruble rubles",
        "unit": "unit units",
    }.items()
    for name in names.split()
}
_OPERATOR_WORDS = (
    "or and to times plus minus over not is pi e i inf infinity infty sqrt sin cos tan sec csc cot log ln exp "
    "alpha beta gamma delta theta phi psi omega lambda mu sigma tau rho mod if for where with by x y z"
)
_NOT_WORDS = frozenset(_OPERATOR_WORDS.split())
_DECIMAL = (
    r"(?:\d{1,3}(?:,\d{3})+(?:\.\d{0,120})?|\d{1,3}(?:[ ]\d{3})+(?:\.\d{1,120})?|\d{1,150}(?:\.\d{0,120})?|\.\d{1,120})"
)
_INTEGER = r"\d{1,100}"


def _frac(name: str) -> str:
    """Pattern of `\\frac{a}{b}` and `\\frac ab`, its groups named after `name`."""
    braced = rf"\{{\s?(?P<{name}_top>-?{_DECIMAL})\s?\}}\s?\{{\s?(?P<{name}_bottom>{_DECIMAL})\s?\}}"
    return rf"\\frac\s?(?:{braced}|(?P<{name}_a>\d)\s?(?P<{name}_b>\d)(?!\d))"


_QUANTITY = re.compile(
    rf"(?P<sign>[-+]?)\s?(?P<currency>\\?\$|[€£¥₹₩₽])?\s?(?P<inner_sign>-?)"
    rf"(?:(?P<whole>{_INTEGER})\s?{_frac('part')}"
    rf"|{_frac('frac')}"
    rf"|(?P<mixed>{_INTEGER})[ ](?P<mixed_top>{_INTEGER})\s?/\s?(?P<mixed_bottom>{_INTEGER})"
    rf"|(?P<top>{_DECIMAL})\s?/\s?(?P<bottom>{_DECIMAL})"
    rf"|(?P<decimal>{_DECIMAL})(?:[eE](?P<exponent>[-+]?\d{{1,5}})"
    rf"|\s?(?:\\times|\\cdot|\*|x)\s?10\s?(?:\^|\*\*)\s?\{{?\(?(?P<power>[-+]?\d{{1,5}})\)?\}}?)?)"
    rf"\s{{0,3}}(?P<suffix>[^\d].{{0,80}})?"
)
_FIND = re.compile(
    rf"(?<![\w.^{{])[-+]?\s?(?:\\?\$|[€£¥₹₩₽])?-?(?:{_INTEGER}\s?)?(?:\\frac\s?\{{[^{{}}]{{1,40}}\}}\s?\{{[^{{}}]{{1,40}}\}}"
    rf"|{_DECIMAL}(?:\s?/\s?{_DECIMAL})?(?:[eE][-+]?\d{{1,4}})?)"
)
_POWER = re.compile(r"\^\s?\{?\(?\s?(-?\d)\s?\)?\}?$|(?<=[a-zA-Z])([23])$")
_RAISED = (("square ", "^2"), ("sq. ", "^2"), ("sq ", "^2"), ("cubic ", "^3"), ("平方", "^2"), ("立方", "^3"))
# What Chinese counts with, and a word behind it: "5个", "3名学生".
_COUNTED = re.compile(r"[个只条辆本位名张棵头块岁件种把台颗瓶杯层人次][\u4e00-\u9fff]{0,6}")
_PERCENT = re.compile(r"\\?%|per ?cent\b|pct\b", re.IGNORECASE)
_PER = re.compile(r"/|(?:^|\s)per(?:\s|$)", re.IGNORECASE)
SCALES = {
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "万": 10**4,
    "亿": 10**8,
}
_SCALE = re.compile(rf"({'|'.join(SCALES)})(?![A-Za-z])", re.IGNORECASE)
_WORDS = re.compile(r"[A-Za-z]{3,20}(?: [A-Za-z]{2,20}){0,3}")


def as_float(value: Fraction) -> float:
    """The nearest float; infinite where there is none, since a response may say "1e999"."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


@dataclass(frozen=True, slots=True)
class Quantity:
    """An exact number and what stands beside it."""

    value: Fraction
    exact: bool
    """an integer or a terminating decimal as written, not a fraction"""
    percent: bool = False
    unit: str = ""
    """canonical unit; "" when there is none or it is a word that we do not know ("5 apples")"""
    text: str = field(default="", compare=False)
    """as it was written"""


def _number(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", "").rstrip(".") or "0")


def read_unit(text: str) -> str | None:
    """The canonical unit of what follows a number: "cm^2" -> "cm^2", "apples" -> "", "x" -> None."""
    text = text.replace(r"\Omega", "Ω").replace(r"\mu ", "μ")
    bare = " ".join(text.replace("\\", " ").replace("{", " ").replace("}", " ").split()).strip(" .")
    bare = re.sub(r"\.?\s?\^ ?", "^", bare)
    if not bare:
        return ""
    lowered = bare.lower()
    for word, power in _RAISED:
        if lowered.startswith(word):
            inner = read_unit(bare[len(word) :])
            return f"{inner}{power}" if inner else inner
    if lowered.endswith(" squared"):
        inner = read_unit(bare[: -len(" squared")])
        return f"{inner}^2" if inner else inner
    ratio = _PER.split(bare, maxsplit=1)
    if len(ratio) == 2:
        parts = [read_unit(part) for part in ratio]
        if None in parts:
            return None
        return "mph" if parts == ["mi", "h"] else "kmh" if parts == ["km", "h"] else "/".join(map(str, parts))
    raised = _POWER.search(bare)
    if raised:
        name = bare[: raised.start()].strip(" ()")
        unit = _UNITS.get(name) or _UNITS.get(name.lower() if len(name) > 1 else name)
        return f"{unit}^{raised.group(1) or raised.group(2)}" if unit else None
    if bare in _UNITS:
        return _UNITS[bare]
    if len(bare) > 1 and lowered.replace(" ", "") in _UNITS:
        return _UNITS[lowered.replace(" ", "")]
    if _COUNTED.fullmatch(bare):
        return ""
    words = set(lowered.split())
    return "" if _WORDS.fullmatch(bare) and not words & _NOT_WORDS else None


def read_quantity(text: str) -> Quantity | None:
    """The quantity that the whole text is, or None: "1,234.5", "-3/4", "2\\frac{1}{2}", "1.2\\times 10^3",
    "50\\%", "$5", "12 cm^2", "30°", "5 apples". Numbers beyond 10^1000 and zero denominators are None.
    """
    return _read_quantity(text) if len(text) <= 4 * MAX_CHARS else None


@lru_cache(maxsize=4096)
def _read_quantity(text: str) -> Quantity | None:
    # An answer, its gold and the texts of options are read again by every rule.
    if text.lstrip()[:1].isalpha() or not _DIGIT.search(text):
        return None
    cleaned = usual_signs(clean_math(text))
    if len(cleaned) > MAX_CHARS:
        return None
    match = _QUANTITY.fullmatch(cleaned)
    if match is None:
        return None
    read = _value(match)
    if read is None:
        return None
    value, exact = read
    if (match["sign"] == "-") != (match["inner_sign"] == "-"):
        value = -value
    suffix = (match["suffix"] or "").strip()
    scale = _SCALE.match(suffix)
    if scale:
        value, suffix = value * SCALES[scale.group(1).lower()], suffix[scale.end() :].strip()
    percent = _PERCENT.match(suffix)
    if percent:
        return (
            Quantity(value, exact, percent=True, text=text.strip())
            if read_unit(suffix[percent.end() :]) == ""
            else None
        )
    glued = bool(suffix) and cleaned[match.start("suffix") - 1] != " "
    if glued and re.fullmatch(r"[A-Za-z]+", suffix) and not {suffix, suffix.lower()} & _UNITS.keys():
        return None  # "2ab" is a product, "2 apples" is not
    unit = read_unit(suffix)
    if unit is None:
        return None
    if match["currency"]:
        unit = _UNITS[match["currency"].lstrip("\\")]
    return Quantity(value, exact, unit=unit, text=text.strip())


def _value(match: re.Match[str]) -> tuple[Fraction, bool] | None:
    """(value without sign, whether it is an integer or a decimal as written)."""
    try:
        if match["decimal"] is not None:
            exponent = int(match["exponent"] or match["power"] or 0)
            if abs(exponent) > _MAX_EXPONENT:
                return None
            return _number(match["decimal"]) * Fraction(10) ** exponent, True
        if match["whole"] is not None:
            return _number(match["whole"]) + _ratio(match, "part"), False
        if match["mixed"] is not None:
            return _number(match["mixed"]) + _ratio(match, "mixed"), False
        if match["top"] is not None:
            return _number(match["top"]) / _number(match["bottom"]), False
        return _ratio(match, "frac"), False
    except (ValueError, ZeroDivisionError):
        return None


def _ratio(match: re.Match[str], name: str) -> Fraction:
    groups = match.groupdict()
    top = groups[f"{name}_top"] or groups[f"{name}_a"]
    bottom = groups[f"{name}_bottom"] or groups[f"{name}_b"]
    return _number(top) / _number(bottom)


def find_quantities(text: str) -> list[tuple[str, int]]:
    """(text, end) of every number in a sentence, each with the unit that follows it where one does."""
    cleaned = clean_math(text)[:4000]
    found = []
    for match in _FIND.finditer(cleaned):
        number = match.group().strip()
        after = cleaned[match.end() : match.end() + 24]
        unit = re.match(r"\s?\\?%|\s?(?:°|\\?[A-Za-z]+(?:\^\{?\d\}?)?(?:/[A-Za-z]+)?)", after)
        with_unit = number + (unit.group() if unit else "")
        found.append((with_unit if read_quantity(with_unit) else number, match.end()))
    return found


def close(a: Fraction, b: Fraction, rtol: float, slack: Fraction) -> bool:
    """|a - b| <= max(rtol, slack) * |b|, b being the gold value."""
    return abs(a - b) <= max(Fraction(rtol), slack) * abs(b)


def same_quantity(gold: Quantity, said: Quantity, rtol: float = 0.0) -> bool:
    """Whether two quantities are the same.

    Integers must be equal. Decimals may differ by 1e-9 of the gold value (floating-point noise), and a
    decimal stands for a fraction when it is right to 1e-6. `rtol` widens all three. Two different known
    units are different; a unit that one side leaves out is not missed. A percent sign may be left out or
    worked out when only one side has it: 50% = 0.5 = "50", but 0.5 and 50 are different numbers.
    """
    if gold.unit and said.unit and gold.unit != said.unit and "unit" not in (gold.unit, said.unit):
        return False
    readings = [(gold.value, said.value)]
    if gold.percent != said.percent:
        hundred = Fraction(1, 100)
        readings.append((gold.value * hundred, said.value) if gold.percent else (gold.value, said.value * hundred))
    integers = gold.exact and said.exact and all(v.denominator == 1 for pair in readings[:1] for v in pair)
    slack = Fraction(0) if integers else Fraction(1, 10**9 if gold.exact and said.exact else 10**6)
    return any(close(b, a, rtol, slack) for a, b in readings)
