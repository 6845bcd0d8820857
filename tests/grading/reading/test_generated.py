"""A slice of the generated responses of `generated.py`, which has the whole number: no reader and no grader raises."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from rap_plugin.grading import GradeItem, GradingOptions, open_grader
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
