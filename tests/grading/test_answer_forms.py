"""Answers in forms that pools and models write them in, by `auto`: `answer_forms.jsonl` has the verdict of a careful person."""

from __future__ import annotations

import json
from pathlib import Path

from rap_plugin.grading import GradeItem, GradingOptions, open_grader

ROWS = [json.loads(line) for line in Path(__file__).with_name("answer_forms.jsonl").read_text("utf-8").splitlines()]


def test_every_form_gets_the_verdict_of_a_careful_person() -> None:
    grader = open_grader("auto", options=GradingOptions(timeout_s=20.0))
    items = [GradeItem(row["response"], row["gold"], question=row.get("question", "")) for row in ROWS]
    grades = grader.grade(items)
    grader.close()
    missed = [(row, grade) for row, grade in zip(ROWS, grades, strict=True) if grade.verdict != row["verdict"]]
    assert not missed, "\n".join(f"{row}: {grade.verdict}, {grade.reason}" for row, grade in missed)


def test_conditions_that_nobody_can_solve_are_ungradable_and_not_wrong() -> None:
    grader = open_grader("auto", options=GradingOptions(timeout_s=20.0))
    gold = r"x+\sin x>0 \text{ and } x<5"
    same, unknown = grader.grade([GradeItem(rf"\boxed{{{gold}}}", gold), GradeItem(r"\boxed{(0,5)}", gold)])
    grader.close()
    assert same.verdict == "right"
    assert (unknown.verdict, "cannot be solved" in unknown.reason) == ("ungradable", True)


def test_a_product_is_not_its_number_and_a_parallel_no_perpendicular() -> None:
    """Verdicts that were right by mistake: letters taken for units, signs for punctuation, a ratio for a division."""
    grader = open_grader("auto", options=GradingOptions(timeout_s=20.0))
    pairs = [("3", "3ab"), ("6", "6t"), (r"\sqrt{2}", r"\sqrt{2} ab"), ("AB ⊥ CD", "AB ∥ CD"), ("12", "(1)(3)(4)")]
    pairs += [(r"1:2:\sqrt{3}", r"1:\sqrt{3}:2"), ("x<1 or y>2", "x<1 and y>2")]
    grades = grader.grade([GradeItem(rf"\boxed{{{said}}}", gold) for said, gold in pairs])
    grader.close()
    assert [grade.verdict for grade in grades] == ["wrong"] * len(pairs)
