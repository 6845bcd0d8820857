"""Numbers in running text, with their sign."""

from __future__ import annotations

from fractions import Fraction

import pytest

from rap_plugin.grading.extract import read_number
from rap_plugin.grading.reading.number_tokens import number_tokens, word_tokens


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("minus 5", [-5]),
        ("The lowest is negative 5 °C.", [-5]),
        ("5 degrees below zero", [-5]),
        ("10 minus 5", [10, 5]),
        ("共有4个，还有12个。", [4, 12]),
        ("It is -5, not 5.", [-5, 5]),
        ("x_2 and y2 are 7", [7]),
        ("It is √16 cm, or sqrt(9).", [4, 3]),
        ("It is √15 or 5√16.", []),
        ("3½ miles and ¾ of one", [Fraction(7, 2), Fraction(3, 4)]),
        ("72,5 km/h", [Fraction(145, 2)]),
        ("It is 72,5.", []),
        ("1,234 km or 384 400 km", [1234, 384400]),
        ("5.5 × 10⁻² m", [Fraction(55, 1000)]),
        ("8 + 4π and 3x and 2 ± 1", []),
        ("3.5π, 12,500π, 12π / 3, 2k and 12/25/2019", []),
        ("about 1.2k, or 15k, or 2.5M", [1200, 15000, 2500000]),
        ("$3.50 + $2.25 = $5.75", [Fraction(7, 2), Fraction(9, 4), Fraction(23, 4)]),
    ],
)
def test_digits_have_the_sign_that_words_give_them(text: str, values: list[int | Fraction]) -> None:
    assert [token.quantity.value for token in number_tokens(text)] == values


def test_a_sum_of_prices_is_read_at_its_end() -> None:
    found = read_number("The total is $3.50 + $2.25 = $5.75.", "How much do they cost in total?")
    assert found.value is not None
    assert found.value.value == Fraction(23, 4)


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("How many minutes does it take?", 150),
        ("How many hours does it take?", Fraction(5, 2)),
        ("How long is it?", None),
    ],
)
def test_a_quantity_in_two_units_is_one_number_in_the_unit_asked_for(question: str, value: Fraction | None) -> None:
    found = read_number("It takes 2 hours and 30 minutes.", question)
    assert (found.value.value if found.value else None) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("negative five", -5),
        ("twenty-one", 21),
        ("a quarter", Fraction(1, 4)),
        ("a third of it", Fraction(1, 3)),
        ("two and a half", Fraction(5, 2)),
        ("twenty-one and three quarters", Fraction(87, 4)),
        ("seven eighths", Fraction(7, 8)),
    ],
)
def test_words_are_numbers_too(text: str, value: Fraction) -> None:
    (token,) = word_tokens(text)
    assert token.quantity.value == value
    assert text[token.start : token.end].split()[0] == text.split()[0]


def test_an_ordinal_in_words_is_no_number() -> None:
    assert not list(word_tokens("the twenty-fifth of May"))
