"""Grader `auto`: where each gold is sent."""

from __future__ import annotations

import pytest

from rap_plugin.grading.extract import parse_options
from rap_plugin.grading.graders.auto import route


@pytest.mark.parametrize(
    ("gold", "question", "expected"),
    [
        ("C", "", "choice"),
        ("C", "Which? (A) x (B) y (C) z", "choice"),
        ("F", "Which? (A) x (B) y (C) z", "math"),
        ("B, D", "Which two of A, B, C or D?", "choice"),
        ("12 cm", "Which? (A) 3 cm (B) 12 cm", "choice"),
        ("c", "", "math"),
        ("42", "", "math"),
        (r"\frac{1}{2}", "", "math"),
        ("x + 1", "", "math"),
        ("[0, 1)", "", "math"),
        ("50%", "", "math"),
        ("blue", "", "text"),
        ("the Eiffel Tower", "", "text"),
        ("ABC", "Name the triangle.", "text"),
        ("BD", "Which two of A, B, C or D?", "choice"),
    ],
)
def test_auto_sends_each_gold_where_it_belongs(gold: str, question: str, expected: str) -> None:
    assert route(gold, question, parse_options(question)) == expected
