from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rap_plugin.grading.building import reward_of
from rap_plugin.grading.extract import (
    TAIL_CHARS,
    extract_answer_tag,
    extract_boxed,
    extract_choice,
    final_answer,
    letters_only,
    match_option,
    mentions_letters,
    normalize_text,
    parse_options,
    well_formatted,
)
from rap_plugin.grading.reading.notation import clean_math, to_latex
from rap_plugin.grading.reading.quantities import read_quantity

# Pieces of which hostile and ordinary responses are made.
MARKS = [r"\boxed{", r"\frac{", "<answer>", "</answer>", "<think>", "</think>", "Answer: ", "the answer is "]
WORDS = ["final answer\n", " or ", " and ", "not ", "**", "option ", "√", "½", "\ud800"]
PIECES = st.sampled_from([*"{}()[]$\\^_ \n.,:*A BCI15-", *MARKS, *WORDS])


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=60).map("".join))
def test_no_text_makes_an_extraction_raise(text: str) -> None:
    options = parse_options(text)
    assert (
        extract_choice(text, options) in {None, *options} or not options or len(extract_choice(text, options) or "") > 1
    )
    for function in (
        extract_boxed,
        extract_answer_tag,
        final_answer,
        normalize_text,
        clean_math,
        to_latex,
        letters_only,
    ):
        function(text)
    read_quantity(text)
    match_option(text, options)
    mentions_letters(text)
    well_formatted(text)


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join), st.sampled_from(["7", "x+1", r"\frac{1}{2}", "C"]))
def test_a_box_at_the_end_is_found_behind_any_text(before: str, answer: str) -> None:
    # A trailing backslash would escape the box itself.
    assert extract_boxed(before + " \\boxed{" + answer + "}") == answer


def test_answers_are_looked_for_in_the_last_part_only() -> None:
    assert extract_boxed(r"\boxed{5}" + "." * (TAIL_CHARS - 20)) == "5"
    assert extract_boxed(r"\boxed{5}" + "." * TAIL_CHARS) is None


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


def test_letters_outside_the_options_are_not_choices() -> None:
    assert extract_choice("Answer: E", {"A": "one", "B": "two"}) is None
    assert extract_choice("Answer: E", letters="ABCDE") == "E"
    assert extract_choice("Answer: E", letters="ABCD") is None


@pytest.mark.parametrize(
    ("response", "well"),
    [
        (r"<think>a</think> so \boxed{5}", True),
        ("  <think>a</think>\n\\boxed{\\frac{1}{2}} cm.\n", True),
        (r"<think>a</think>\boxed{5} trailing", True),
        (r"\boxed{5}", False),
        (r"<think>a</think>5", False),
        (r"<think>a \boxed{5}</think>", False),
        (r"<think>a \boxed{5}", False),
        (r"Hm. <think>a</think>\boxed{5}", False),
        (r"<think>a</think>\boxed{5", False),
        (r"<think>a</think>\boxed{}", False),
        ("", False),
    ],
)
def test_the_format_is_a_thought_then_a_box(response: str, well: bool) -> None:
    assert well_formatted(response) is well


@given(st.floats(0, 1))
def test_right_and_well_formatted_is_exactly_one_for_every_weight(weight: float) -> None:
    assert reward_of(True, True, weight) == 1.0
    assert reward_of(False, False, weight) == 0.0
    assert reward_of(True, False, 0.1) == 0.9
    assert reward_of(False, True, 0.1) == 0.1
