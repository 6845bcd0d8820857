"""Answer options in a column of their own, without which a letter or a number as the gold answer means nothing; images by number."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rap_plugin.samples.formats.base import RowProblem
from rap_plugin.samples.formats.values import in_places, with_options

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
        ("Which, a cat or a dog?", "B", {"options": CHOICES}, "Which, a cat or a dog?"),
        ("Which?", "a dog", {"options": CHOICES}, "Which?"),
        ("Which?", "B", {}, "Which?"),
        ("Which?", "(B) a dog", {"choices": CHOICES}, LISTED),
        ("Which?", "(B) a dog", {"choices": ["(A) a cat", "(B) a dog"]}, "Which?\n(A) a cat\n(B) a dog"),
        ("Which?", "B. a horse", {"choices": CHOICES}, "Which?"),
        ("How many?", "2", {"choices": ["1", "2"]}, "How many?"),
        ("How many?", "7", {"choices": ["one", "two"]}, "How many?"),
        ("Which letter?", "M", {"choices": ["K", "M"]}, "Which letter?"),
        ("Which?", "B", {"options": [], "choices": None}, "Which?"),
        ("Which?", "B", {"options": "a cat or a dog", "choices": CHOICES}, LISTED),
        ("Which? (A) a cat (B) a dog", "B", {"options": "a cat or a dog"}, "Which? (A) a cat (B) a dog"),
    ],
)
def test_options_are_put_below_a_question_that_needs_them(question: str, gold: str, row: Any, shown: str) -> None:
    assert with_options(question, gold, row) == shown


@pytest.mark.parametrize(
    ("gold", "options", "said"),
    [
        ("B", [{"name": "a cat"}, {"name": "a dog"}], "the letter B, and column 'options' holds no list of texts"),
        ("B", "['a cat', __import__('os')]", "no list of texts"),
        ("B", "a cat or a dog", "no list of texts"),
        ("B", [CHOICES, CHOICES], "no list of texts"),
        ("(c)", CHOICES, "the letter C, and column 'options' holds 2 options"),
        (
            "0",
            CHOICES,
            "the gold answer is 0, and column 'options' holds 2 options: whether it counts them from 0 or from 1",
        ),
        ("2", CHOICES, "write the option's letter or text"),
    ],
)
def test_options_that_do_not_have_the_golds_are_told(gold: str, options: Any, said: str) -> None:
    with pytest.raises(RowProblem, match=re.escape(said)):
        with_options("Which?", gold, {"options": options})


@pytest.mark.parametrize(
    ("question", "shown"),
    [
        ("Is <image 1> like <image 2>?", "Is <image> like <image>?"),
        ("<image 1> Which? A. <image 2> B. <image 3>", "<image> Which? A. <image> B. <image>"),
        ("<image_1> What is left of <image_1>?", "<image> What is left of image 1?"),
        ("After <image 2> comes <image 1>?", "After image 2 comes image 1?"),
        ("<image> is <image 1>", "<image> is <image 1>"),
        ("What is shown?", "What is shown?"),
    ],
)
def test_images_named_by_number_stand_in_their_places(question: str, shown: str) -> None:
    assert in_places(question) == shown
