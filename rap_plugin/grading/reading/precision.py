"""Is an answer the gold number, to the precision that was asked for?"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from rap_plugin.grading.reading.quantities import SCALES, Quantity, read_unit

_PERCENT = re.compile(r"%|\bpercent|\bper cent|\brate\b|百分", re.IGNORECASE)
_SCALE_WORD = re.compile(rf"(?<![A-Za-z])({'|'.join(SCALES)})(?![A-Za-z])", re.IGNORECASE)
_UNIT_LINE = re.compile(r"\(Unit:\s*([^()]{1,30})\)", re.IGNORECASE)
_ASKED_UNIT = re.compile(
    r"\bhow many ([a-z]{2,12})\b(?!\s+per\b)|\b(?:in|to the nearest) (?:the )?((?:square |cubic )?[a-z]{1,12}(?:\^?[23])?)\W*(?:$|\()",
    re.IGNORECASE,
)


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
    # Half to even, exactly: a Decimal would raise where number and decimals need more than its 28 digits.
    return Fraction(round(value * 10**decimals), 10**decimals)
