"""Numbers in running text, with their sign."""

from __future__ import annotations

from fractions import Fraction

import pytest

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
    ],
)
def test_digits_have_the_sign_that_words_give_them(text: str, values: list[int]) -> None:
    assert [token.quantity.value for token in number_tokens(text)] == values


@pytest.mark.parametrize(
    ("text", "value"),
    [("negative five", -5), ("twenty-one", 21), ("a quarter", Fraction(1, 4)), ("a third of it", Fraction(1, 3))],
)
def test_words_are_numbers_too(text: str, value: Fraction) -> None:
    (token,) = word_tokens(text)
    assert token.quantity.value == value
    assert text[token.start : token.end].split()[0] == text.split()[0]
