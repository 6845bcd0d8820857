"""Which options a question lists."""

from __future__ import annotations

import pytest

from rap_plugin.grading.extract import mentions_letters, parse_options


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("Which? (A) Set A (B) Set B", {"A": "Set A", "B": "Set B"}),
        ("Which?\nA. one\nB. two\nC. three", {"A": "one", "B": "two", "C": "three"}),
        ("Which? A) one B) two", {"A": "one", "B": "two"}),
        ("Which?\nA: one\nB: two", {"A": "one", "B": "two"}),
        ("Choices:\n(A) 3 cm\n(B) 5 cm\nAnswer with a letter.", {"A": "3 cm", "B": "5 cm"}),
        ("Select from A, B, and C. (A) x (B) y (C) z", {"A": "x", "B": "y", "C": "z"}),
        ("Select from A-D. (A) (B) (C) (D)", {"A": "", "B": "", "C": "", "D": ""}),
        ("Which? (a) one (b) two", {"A": "one", "B": "two"}),
        ("选择：A、一 B、二", {"A": "一", "B": "二"}),
        ("Find the length of side A.", {}),
        ("Is (A) right?", {}),
        ("Given (B) and (C), which?", {}),
        ("", {}),
        ("A. only one option", {}),
        ("Which? (A) 0.83:1 (B) 0.89:1", {"A": "0.83:1", "B": "0.89:1"}),
        ("(A) " * 30_000, {}),
    ],
)
def test_options_are_read_from_questions(question: str, options: dict[str, str]) -> None:
    assert parse_options(question) == options


def test_letters_are_asked_for_without_options() -> None:
    assert mentions_letters("Select answers from A-E")
    assert mentions_letters("Which of the proposals A, B, C or D?")
    assert not mentions_letters("How many apples are there?")
