"""Readings of responses as models write them, over the table in `responses.py`."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from rap_plugin.evaluation.grade import BenchmarkGrade
from rap_plugin.evaluation.scoring import score_response
from tests.evaluation.responses import CASES, Case


def reading_of(case: Case, grade: BenchmarkGrade) -> str | None:
    if case.item.kind in ("choice", "yes_no"):
        return None if grade.verdict == "unread" else grade.extracted
    return grade.verdict


def test_the_table_is_large_and_covers_the_benchmarks() -> None:
    per_benchmark = Counter(case.benchmark for case in CASES)
    assert len(CASES) >= 300
    assert min(per_benchmark.values()) >= 5
    assert len(per_benchmark) == 15


def test_at_least_99_percent_of_the_responses_are_read_right() -> None:
    missed = [case for case in CASES if reading_of(case, score_response(case.item, case.response)) != case.reading]
    listing = "\n".join(f"{case.benchmark}: {case.response!r} is {case.reading}" for case in missed)
    assert len(missed) <= len(CASES) // 100, listing


@pytest.mark.parametrize(
    ("benchmark", "response"),
    [
        ("vstar", "Answer: C"),
        ("cv_bench", "The answer is (C)."),
        ("pope", "Yes."),
        ("scienceqa_img", "(B)"),
        ("mathvista", "\\boxed{62^\\circ}"),
        ("vstar", "<answer>C</answer>"),
    ],
)
def test_a_response_that_built_in_scorers_misread_is_right(benchmark: str, response: str) -> None:
    case = next(case for case in CASES if (case.benchmark, case.response) == (benchmark, response))
    assert score_response(case.item, response).verdict == "right"


@pytest.mark.parametrize("threads", [1, 4, 16])
def test_scores_are_the_same_with_any_number_of_threads(threads: int) -> None:
    expected = [score_response(case.item, case.response) for case in CASES]
    grades: list[BenchmarkGrade | None] = [None] * len(CASES)
    todo = iter(range(len(CASES)))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                index = next(todo, None)
            if index is None:
                return
            grades[index] = score_response(CASES[index].item, CASES[index].response)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert grades == expected


def test_an_unjudged_response_has_no_score() -> None:
    for case in CASES:
        grade = score_response(case.item, case.response)
        assert (grade.score is None) == (grade.verdict == "unjudged")
        assert grade.reason or grade.verdict != "unjudged"
