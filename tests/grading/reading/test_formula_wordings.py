"""Formulas and quantities said in a sentence: what the grader `math` makes of the wordings in `formula_wordings.py`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rap_plugin.grading import Grade, GradeItem, GradingOptions, open_grader
from tests.grading.reading.formula_wordings import formula_rows

ROWS = list(formula_rows())
Pair = tuple[tuple[str, str, str, str, bool], Grade]


@pytest.fixture(scope="module")
def pairs() -> Iterator[list[Pair]]:
    grader = open_grader("math", options=GradingOptions())
    yield list(
        zip(ROWS, grader.grade([GradeItem(said, gold, question) for _, question, said, gold, _ in ROWS]), strict=True)
    )
    grader.close()


def _shown(pairs: list[Pair]) -> str:
    return "\n".join(f"{row[2]!r} for {row[3]!r}: read {grade.extracted!r}" for row, grade in pairs)


def test_what_is_graded_right_is_right_in_99_of_100(pairs: list[Pair]) -> None:
    right = [(row, grade) for row, grade in pairs if grade.verdict == "right"]
    wrong = [(row, grade) for row, grade in right if not row[4]]
    assert len(wrong) <= 0.01 * len(right), _shown(wrong)


def test_97_of_100_right_answers_are_graded_right(pairs: list[Pair]) -> None:
    right = [(row, grade) for row, grade in pairs if row[4]]
    missed = [(row, grade) for row, grade in right if grade.verdict != "right"]
    assert len(missed) <= 0.03 * len(right), _shown(missed)


def test_a_right_answer_that_is_missed_is_unread_and_not_read_as_another_one(pairs: list[Pair]) -> None:
    misread = [(row, grade) for row, grade in pairs if row[4] and grade.verdict != "right" and grade.extracted]
    assert len(misread) <= 0.005 * len(pairs), _shown(misread)
