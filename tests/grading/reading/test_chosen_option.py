"""A chosen option is one of those that there are."""

from __future__ import annotations

import pytest

from rap_plugin.grading.extract import extract_choice, read_option


def test_letters_outside_the_options_are_not_choices() -> None:
    assert extract_choice("Answer: E", {"A": "one", "B": "two"}) is None
    assert extract_choice("Answer: E", letters="ABCDE") == "E"
    assert extract_choice("Answer: E", letters="ABCD") is None


@pytest.mark.parametrize(
    ("response", "said"),
    [
        ("The answer is A. Wait, no, it's C.", "it's C"),
        ("First \\boxed{A}, then \\boxed{C}.", "C"),
        ("It is long.\nThe answer is (C) because of that.", "answer is (C)"),
    ],
)
def test_the_span_is_what_decided(response: str, said: str) -> None:
    found = read_option(response, {"A": "one", "B": "two", "C": "three"})
    assert (found.value, found.said(response)) == ("C", said)
