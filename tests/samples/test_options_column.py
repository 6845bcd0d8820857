"""Answer options in a column of their own: a letter as the gold answer means nothing without them."""

from __future__ import annotations

from typing import Any

import pytest

from rap_plugin.samples.formats.values import with_options

CHOICES = ["a cat", "a dog"]
LISTED = "Which?\nA. a cat\nB. a dog"


@pytest.mark.parametrize(
    ("question", "gold", "row", "shown"),
    [
        ("Which?", "B", {"options": CHOICES}, LISTED),
        ("Which?", "(b)", {"choices": CHOICES}, LISTED),
        ("Which?", "B", {"choices": '["a cat", "a dog"]'}, LISTED),
        ("Which?", "B", {"options": {"A": "a cat", "B": "a dog"}}, LISTED),
        ("Which?", "A", {"options": ["A. a cat", "B. a dog"]}, LISTED),
        ("Which?", "B", {"options": "['a cat', \"a dog\"]"}, LISTED),
        ("Which?", "B", {"options": "A. a cat\nB. a dog"}, LISTED),
        ("Which?", "B", {"choices": {"label": ["A", "B"], "text": CHOICES}}, LISTED),
        ("Which?", "B", {"choices": [{"label": "A", "text": "a cat"}, {"label": "B", "text": "a dog"}]}, LISTED),
        ("Which?", "B", {"options": [{"name": "a cat"}, {"name": "a dog"}]}, "Which?"),
        ("Which?", "B", {"options": "['a cat', __import__('os')]"}, "Which?"),
        ("Which?", "B", {"options": "a cat or a dog"}, "Which?"),
        ("Which, a cat or a dog?", "B", {"options": CHOICES}, "Which, a cat or a dog?"),
        ("Which?", "a dog", {"options": CHOICES}, "Which?"),
        ("Which?", "C", {"options": CHOICES}, "Which?"),
        ("Which?", "B", {"options": [CHOICES, CHOICES]}, "Which?"),
        ("Which?", "B", {}, "Which?"),
    ],
)
def test_options_are_put_below_a_question_that_needs_them(question: str, gold: str, row: Any, shown: str) -> None:
    assert with_options(question, gold, row) == shown
