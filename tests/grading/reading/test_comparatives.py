"""Comparisons said again in other words."""

from __future__ import annotations

import pytest

from rap_plugin.grading.reading.comparatives import compared_as, on_asked_side, stem

CATS = "Are there more cats than dogs?"
VALUES = "Does Arkansas have a higher value than Indiana ?"


@pytest.mark.parametrize(
    ("question", "text", "expected"),
    [
        (VALUES, "The value of Arkansas is higher than Indiana.", "yes"),
        (VALUES, "Indiana has a higher value than Arkansas.", "no"),
        (VALUES, "Indiana's value is lower than that of Arkansas.", "yes"),
        (VALUES, "Arkansas is not higher than Indiana.", "no"),
        (CATS, "The number of cats is greater than the number of dogs.", "yes"),
        (CATS, "There are fewer cats than dogs.", "no"),
        (CATS, "There are more dogs than cats.", "no"),
        (CATS, "There are more cats than birds.", None),
        (CATS, "The cats are larger and the dogs are more than happy.", None),
        ("Is there a dog?", "There are more cats than dogs.", None),
    ],
)
def test_a_comparison_of_the_same_two_things_answers(question: str, text: str, expected: str | None) -> None:
    assert compared_as(text, question) == expected


def test_the_asked_side_of_a_comparison() -> None:
    question = "Which city is larger?"
    assert (on_asked_side("Paris is larger than Rome.", question) or "").split() == ["Paris", "is"]
    assert (on_asked_side("Rome is smaller than Paris.", question) or "").strip(" .") == "Paris"
    assert on_asked_side("Paris is not larger than Rome.", question) is None
    assert on_asked_side("Paris is older than Rome.", question) is None


def test_words_lose_their_endings_alike() -> None:
    for words in (
        ("bus", "buses"),
        ("increase", "increases"),
        ("wear", "wearing", "wears"),
        ("knife", "knives"),
        ("sit", "sitting"),
    ):
        assert len({stem(word) for word in words}) == 1, words
