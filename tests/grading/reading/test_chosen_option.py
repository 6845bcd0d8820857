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


PLANETS = {"A": "Mars", "B": "Venus", "C": "Saturn", "D": "Jupiter"}


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("C. Saturn has rings; A. Mars, B. Venus and D. Jupiter do not show them.", "C"),
        ("A. Mars, B. Venus and D. Jupiter do not show rings; C. Saturn does.", "C"),
        ("(C) Saturn has rings, but (A) Mars, (B) Venus and (D) Jupiter lack them.", "C"),
        ("C. Saturn and D. Jupiter have rings; A. Mars and B. Venus do not.", None),
        ("C. Saturn has rings; A. Mars and B. Venus do not show them.", None),
        ("C. Saturn might have rings; A. Mars, B. Venus and D. Jupiter do not.", None),
    ],
)
def test_what_is_denied_of_all_other_options_is_said_of_the_chosen_one(response: str, letter: str | None) -> None:
    assert read_option(response, PLANETS, question="Which planet shows rings?").value == letter


def test_a_contrast_answers_no_question_that_asks_for_what_is_denied() -> None:
    said = "C. Saturn has rings; A. Mars, B. Venus and D. Jupiter do not show them."
    assert read_option(said, PLANETS, question="Which planet does not differ from the others?").value is None
