"""Every row of the table gets the verdict and the extraction that it says."""

from __future__ import annotations

import pytest

from rap_plugin.grading import Grade, GradeItem, GradingOptions, open_grader
from tests.grading.cases import CASES, Row


@pytest.fixture(scope="module")
def grades() -> list[Grade]:
    """All rows, graded in one call per grader, as the pipeline does."""
    found: dict[int, Grade] = {}
    for name in ("math", "choice", "text", "auto"):
        numbers = [number for number, row in enumerate(CASES) if row[0] == name]
        items = [GradeItem(CASES[n][1], CASES[n][2], question="".join(CASES[n][5:6])) for n in numbers]
        grader = open_grader(name, options=GradingOptions(timeout_s=5.0))
        found.update(zip(numbers, grader.grade(items), strict=True))
        grader.close()
    return [found[number] for number in range(len(CASES))]


def _label(number: int) -> str:
    grader, response, gold = CASES[number][:3]
    return f"{number}-{grader}-{response[:30]!a}-{gold[:12]!a}"


@pytest.mark.parametrize("number", range(len(CASES)), ids=_label)
def test_a_row_of_the_table_gets_its_verdict(grades: list[Grade], number: int) -> None:
    row: Row = CASES[number]
    grade = grades[number]
    assert (grade.verdict, grade.extracted) == (row[3], row[4]), grade
    if grade.verdict in ("right", "wrong"):
        assert grade.reward == float(grade.verdict == "right")
    else:
        assert grade.reward is None
        assert grade.reason


def test_the_table_is_large_and_has_every_verdict_for_every_grader() -> None:
    assert len(CASES) >= 200
    assert {(row[0], row[3]) for row in CASES} >= {
        (grader, verdict)
        for grader in ("math", "choice", "text", "auto")
        for verdict in ("right", "wrong", "ungradable")
    }
