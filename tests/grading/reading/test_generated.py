"""A slice of the generated responses of `generated.py`, which has the whole number: no reader and no grader raises."""

from __future__ import annotations

import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rap_plugin.grading import GradeItem, GradingOptions, open_grader
from rap_plugin.grading.extract import read_number
from tests.grading.reading.generated import GOLDS, PIECES, grade_all, read_all, responses


def test_generated_responses_are_read_without_an_error() -> None:
    rng = random.Random(2)
    for response in responses(2_500, seed=2):
        read_all(response, rng)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join), st.integers(0, 10**6))
def test_no_mixture_of_pieces_makes_a_reader_raise(response: str, seed: int) -> None:
    read_all(response, random.Random(seed))


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300), st.integers(0, 10**6))
def test_no_text_at_all_makes_a_reader_raise(response: str, seed: int) -> None:
    read_all(response, random.Random(seed))


def test_generated_responses_get_a_grade_each() -> None:
    rng = random.Random(3)
    items = [GradeItem(response, rng.choice(GOLDS)) for response in responses(1_000, seed=3)]
    grade_all(items)
    grader = open_grader("auto", options=GradingOptions(timeout_s=5.0))
    grades = grader.grade(items[:200])
    grader.close()
    assert len(grades) == 200
    assert not [grade for grade in grades if grade.reason.startswith("error in a grading rule")]


def test_a_bug_in_a_rule_costs_one_reading_and_no_run() -> None:
    from rap_plugin.grading.reading.base import Reading, never_raises

    @never_raises
    def broken(response: str) -> Reading[str]:
        raise KeyError(response)

    assert broken("B") == Reading("unread", reason="error in a reading rule: KeyError: 'B'")


@pytest.mark.parametrize("piece", ["1 ", "1 million ", "1 cm ", "one ", "1 per ", "(", ". ", "? ", "the answer is "])
@pytest.mark.parametrize("frame", ["{}", "the answer is {}", "\\boxed{{{}}}"])
def test_the_work_on_a_long_response_grows_no_faster_than_its_length(piece: str, frame: str) -> None:
    def steps(length: int) -> int:
        """Python calls made by all readers, which a quadratic rule squares; a machine's load does not change them."""
        count = 0

        def note(frame: object, event: str, argument: object) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        response = frame.format(piece * (length // len(piece)))
        sys.setprofile(note)
        try:
            read_all(response, random.Random(1))
        finally:
            sys.setprofile(None)
        return count

    assert steps(16_000) < 3 * steps(8_000) + 2_000


@pytest.mark.parametrize(
    "text", ["\\boxed{" + "1 2 " * 5_000 + "}", "one two " * 3_000, "\\boxed{" + "1 million " * 2_000 + "}"]
)
def test_a_sentence_of_thousands_of_numbers_states_none(text: str) -> None:
    """Each number is looked at with its neighbours: ten thousand in one sentence took minutes."""
    assert read_number(text, "How many bars?").outcome != "read"
