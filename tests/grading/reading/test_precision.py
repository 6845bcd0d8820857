"""Numbers compared with the precision that was asked for."""

from __future__ import annotations

from fractions import Fraction

import pytest

from rap_plugin.grading.reading.precision import same_to_precision
from rap_plugin.grading.reading.quantities import Quantity, read_quantity


@pytest.mark.parametrize(
    ("gold", "said", "precision", "same"),
    [
        ("0", "0.5", 0, False),
        ("1", "0.5", 0, False),
        ("1", "78%", 0, False),
        ("0.8", "0.78", 1, True),
        ("0.78", "78%", 2, True),
        ("2.68", "2.675", 2, True),
        ("1.4", "1.5", 1, False),
        ("1,200", "1200", 0, True),
    ],
)
def test_the_gold_says_how_exact_an_answer_must_be(gold: str, said: str, precision: int, same: bool) -> None:
    quantity = read_quantity(said)
    assert quantity is not None
    assert same_to_precision(gold, quantity, precision, "") is same


@pytest.mark.parametrize("digits", [27, 28, 29, 30, 40, 999])
def test_a_number_of_any_size_is_compared(digits: int) -> None:
    said = Quantity(Fraction(10**digits + 1, 3), True, text="huge")
    assert not same_to_precision("0.5", said, 3, "")
