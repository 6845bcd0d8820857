"""Numbers that count to a given number of decimals (MathVista, arXiv 2310.02255)."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction

from rap_plugin.grading.reading.answers import find_answer
from rap_plugin.grading.reading.base import Reading, never_raises, read, unread
from rap_plugin.grading.reading.formulas import answer_as_math, split_name
from rap_plugin.grading.reading.quantities import Quantity, find_quantities, read_quantity


@never_raises
def read_number(response: str, question: str = "") -> Reading[Quantity]:
    """The number that a response gives as its answer.

    A marked answer is read as mathematics ("x = 3/4", "12 cm"). A sentence counts when it has exactly one number in
    it, or ends with an equals sign and a number; two numbers without either are not an answer.
    """
    answer = find_answer(response)
    text = answer_as_math(answer) if answer.marked else answer.text
    for candidate in (text, split_name(text)[1], text.rsplit("=", 1)[-1], text.rsplit("≈", 1)[-1]):
        quantity = read_quantity(candidate.strip(" .$"))
        if quantity is not None:
            return read(quantity, None, answer.how)
    found = find_quantities(answer.text)
    values = {quantity.value for number, _ in found if (quantity := read_quantity(number)) is not None}
    if len(values) == 1:
        only = read_quantity(found[-1][0])
        if only is not None:
            return read(only, None, "only number")
    return unread("no single number")


def same_to_precision(gold: str, said: Quantity, precision: int) -> bool:
    """Whether the answer, rounded to the gold's decimals, is the gold answer; a percent sign may be worked out."""
    try:
        wanted = Fraction(Decimal(gold.strip().rstrip("%").replace(",", "")))
    except (InvalidOperation, ValueError, OverflowError):
        return False
    readings = [said.value, said.value / 100] if said.percent else [said.value]
    return any(wanted in _rounded(value, precision) for value in readings)


def _rounded(value: Fraction, precision: int) -> set[Fraction]:
    # Halves are rounded to even by the official scorer's float and up by people: both readings count.
    if abs(value) > 10**30:
        return {value}
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    step = Decimal(1).scaleb(-precision)
    return {Fraction(exact.quantize(step, rounding=mode)) for mode in (ROUND_HALF_EVEN, ROUND_HALF_UP)}
