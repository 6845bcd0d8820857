"""Answer options in a column of their own, without which a letter or a number as the gold answer means nothing; images by number."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path
from typing import Any

import pytest

from rap_plugin.samples.formats.base import RowProblem
from rap_plugin.samples.formats.options import with_options
from rap_plugin.samples.formats.values import in_places
from rap_plugin.samples.sample import Quarantined, Sample

from .make import read_one, read_pool, write_jsonl

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
        # In any order, labels say which is which.
        ("Which?", "B", {"options": {"B": "a dog", "A": "a cat"}}, LISTED),
        ("Which?", "B", {"choices": {"label": ["B", "A"], "text": ["a dog", "a cat"]}}, LISTED),
        ("Which?", "B", {"options": [{"key": "B", "value": "a dog"}, {"key": "A", "value": "a cat"}]}, LISTED),
        ("Which?", "B", {"options": [{"A": "a cat"}, {"B": "a dog"}]}, LISTED),
        ("Which?", "B", {"options": ["B. a dog", "A. a cat"]}, "Which?\nA. a cat\nB. a dog"),
        ("Which?", "2", {"choices": {"label": ["1", "2"], "text": CHOICES}}, "Which?\n1. a cat\n2. a dog"),
        # Arrow gives every row the keys of one.
        ("Which?", "B", {"options": {"A": "a cat", "B": "a dog", "C": None}}, LISTED),
        ("Which?", "B", {"options": [{"A": "a cat", "B": None}, {"A": None, "B": "a dog"}]}, LISTED),
        # In one text.
        ("Which?", "B", {"options": "A. a cat; B. a dog"}, LISTED),
        ("Which?", "B", {"options": "(A) a cat (B) a dog"}, "Which?\n(A) a cat\n(B) a dog"),
        ("Which?", "B", {"options": "['a cat' 'a dog']"}, LISTED),
        ("Which?", "B", {"options": "{'A': 'a cat', 'B': 'a dog'}"}, LISTED),
        ("Which?", "A", {"options": repr(["\\frac{1}{2}", "a\nb"])}, "Which?\nA. \\frac{1}{2}\nB. a\nb"),
        # Under other names, and in a column each.
        ("Which?", "B", {"Answer Choices": CHOICES}, LISTED),
        ("Which?", "B", {"option": "A. a cat; B. a dog"}, LISTED),
        ("Which?", "B", {"A": "a cat", "B": "a dog", "C": None, "D": ""}, LISTED),
        ("Which?", "B", {"A": "a cat", "B": "a dog", "C": "nan", "D": float("nan")}, LISTED),
        ("Which?", "B", {"choice_a": "a cat", "choice_b": "a dog"}, LISTED),
        ("Which?", "B", {"Choice A": " A:a cat ", "Choice B": " B:a dog "}, "Which?\nA:a cat\nB:a dog"),
        ("Which?", "B", {"option1": "a cat", "option2": "a dog"}, LISTED),
        ("Which?", "B", {"choice": "B"}, "Which?"),
        ("Find b.", "b", {"a": 3, "c": 4}, "Find b."),
        # The numbers of a question are not the options that it shows.
        (
            "16 of 24, 8 wide, 4 deep, 2 high?",
            "A",
            {"options": ["2", "4"]},
            "16 of 24, 8 wide, 4 deep, 2 high?\nA. 2\nB. 4",
        ),
        ("Is it 2, 4 or 16?", "C", {"options": ["2", "4", "16"]}, "Is it 2, 4 or 16?"),
        ("Which? (A) a cat (B) a dog", "B", {"options": ["A. a cat", "B. a dog"]}, "Which? (A) a cat (B) a dog"),
        # Golds that name options in other words, and several.
        ("Which?", "option B", {"options": CHOICES}, LISTED),
        ("Which?", "$\\text{B}$", {"options": CHOICES}, LISTED),
        ("Which?", "A, B", {"options": CHOICES}, LISTED),
        ("Which?", "AB", {"options": CHOICES}, LISTED),
        ("Which side?", "AC", {"options": ["AC", "BD", "x"]}, "Which side?"),
        ("Which?", "B", {"options": ["A", "B", "C"]}, "Which?"),
        ("How many?", "2", {"choices": [1, 2]}, "How many?"),
        ("1. a cat or 2. a dog?", "2", {"choices": CHOICES}, "1. a cat or 2. a dog?"),
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
        ("1.0", CHOICES, "the gold answer is 1.0"),
        ("B", ["0.png", "1.png"], "no list of texts"),
        ("B", {"A": "a cat", "B": None, "C": "a dog"}, "no list of texts"),
        ("B", "A. B. Smith; B. C. Jones", "no list of texts"),
        (
            "A",
            ["C", "A", "B"],
            "the gold answer A is the letter of one option in column 'options' and the text of another",
        ),
    ],
)
def test_options_that_do_not_have_the_golds_are_told(gold: str, options: Any, said: str) -> None:
    with pytest.raises(RowProblem, match=re.escape(said)):
        with_options("Which?", gold, {"options": options})


def test_a_question_that_shows_its_options_does_not_say_what_a_count_means() -> None:
    with pytest.raises(RowProblem, match="from 0 or from 1"):
        with_options("A cat or a dog?", "1", {"options": ["A cat", "a dog"]})


def test_a_number_that_is_an_options_text_is_no_gold_where_the_pool_counts(tmp_path: Path) -> None:
    # AI2D: the answer is the number of the option, and sometimes the options are numbers too.
    rows = [
        {"question": "Which?", "options": CHOICES, "answer": "1"},
        {"question": "How many?", "options": ["3", "2", "1"], "answer": "2"},
    ]
    counted, also = read_pool(write_jsonl(tmp_path / "pool.jsonl", rows))
    assert isinstance(counted, Quarantined)
    assert isinstance(also, Quarantined)
    assert "the gold answer is 2, and column 'options' holds 3 options" in also.reason
    (alone,) = read_pool(write_jsonl(tmp_path / "alone.jsonl", rows[1:]))
    assert isinstance(alone, Sample)
    assert alone.gold == "2"


def test_a_gold_that_is_a_number_where_options_are_texts_counts_them(tmp_path: Path) -> None:
    row = {"question": "How many legs?", "choices": ["1", "2", "3"], "answer": 1}
    (item,) = read_pool(write_jsonl(tmp_path / "pool.jsonl", [row]))
    assert isinstance(item, Quarantined)
    assert "from 0 or from 1" in item.reason


@pytest.mark.parametrize(
    "row",
    [
        {"problem": "Which?", "images": [], "answer": "B", "options": CHOICES},
        {"problem": "Which?", "images": [], "answer": "B", "options": CHOICES, "level": 1},
        {"image_path": None, "question": "Which?", "answer": "B", "source": "s", "options": CHOICES},
        {"conversations": [{"role": "user", "content": "Which?"}], "image_urls": [], "answer": "B", "options": CHOICES},
    ],
)
def test_every_format_with_columns_of_its_own_shows_the_options(tmp_path: Path, row: Any) -> None:
    assert read_one(write_jsonl(tmp_path / "pool.jsonl", [row])).question == LISTED


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


def test_where_there_are_more_images_than_named_ones_the_numbers_stay() -> None:
    # The others go in front: with a place for "image 1" behind them it would become the second.
    assert in_places("In <image 1>, how many?", 2) == "In image 1, how many?"
    assert in_places("In <image1>, how many?", 1) == "In <image>, how many?"


@pytest.mark.parametrize(
    ("gold", "options"),
    [
        ("A " * 90 + "x", CHOICES),
        ("( " * 50_000 + "A", CHOICES),
        ("B", "[" + " " * 15_000 + "'a'" + " " * 4_000 + "x]"),
        ("B", "A. " * 6_000),
        ("<answer>" * 100, CHOICES),
    ],
)
def test_hostile_golds_and_options_take_no_time(gold: str, options: Any) -> None:
    start = time.monotonic()
    with contextlib.suppress(RowProblem):
        with_options("1 " * 50_000, gold, {"options": options})
    assert time.monotonic() - start < 5
