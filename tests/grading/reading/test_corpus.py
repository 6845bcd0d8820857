"""Readings of the wordings in `corpus.py`: precise where something is read, and read where a person can read."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest

from rap_plugin.grading.extract import Reading, read_number, read_option, read_yes_no
from rap_plugin.grading.reading.quantities import Quantity
from tests.grading.reading.corpus import Wording, all_wordings, single_wordings

CORPUS = all_wordings()
SINGLE = list(single_wordings())


def reading_of(wording: Wording) -> Reading[str] | Reading[Quantity]:
    if wording.kind == "option":
        return read_option(wording.response, wording.options, question=wording.question)
    if wording.kind == "yes_no":
        return read_yes_no(wording.response, wording.question)
    return read_number(wording.response, wording.question)


def is_right(wording: Wording, value: str | Quantity) -> bool:
    if isinstance(value, Quantity):
        return wording.expected is not None and value.value == Fraction(wording.expected)
    return value == wording.expected


@pytest.fixture(scope="module")
def readings() -> list[Reading[str] | Reading[Quantity]]:
    return [reading_of(wording) for wording in CORPUS]


def _shown(wordings: list[Wording]) -> str:
    return "\n".join(f"{w.kind}, {w.group}: {w.response!r} is {w.expected}" for w in wordings[:60])


def test_the_corpus_is_large_and_no_class_stands_alone() -> None:
    assert len(CORPUS) >= 1500
    assert len(SINGLE) >= 800
    assert min(Counter((w.kind, w.group) for w in CORPUS).values()) >= 4


def chosen(
    readings: list[Reading[str] | Reading[Quantity]], part: str
) -> list[tuple[Wording, Reading[str] | Reading[Quantity]]]:
    pairs = list(zip(CORPUS, readings, strict=True))
    return [pair for pair in pairs if part == "all" or pair[0] in SINGLE]


@pytest.mark.parametrize("part", ["all", "single"])
def test_what_is_read_is_right_in_995_of_1000(readings: list[Reading[str] | Reading[Quantity]], part: str) -> None:
    read = [(w, r.value) for w, r in chosen(readings, part) if r.value is not None]
    wrong = [w for w, value in read if not is_right(w, value)]
    assert len(wrong) <= 0.005 * len(read), _shown(wrong)


@pytest.mark.parametrize("part", ["all", "single"])
def test_97_of_100_answers_that_a_person_can_read_are_read(
    readings: list[Reading[str] | Reading[Quantity]], part: str
) -> None:
    readable = [(w, r) for w, r in chosen(readings, part) if w.expected is not None]
    missed = [w for w, r in readable if r.value is None]
    assert len(missed) <= 0.03 * len(readable), _shown(missed)


def test_a_reading_says_where_and_why(readings: list[Reading[str] | Reading[Quantity]]) -> None:
    for wording, reading in zip(CORPUS, readings, strict=True):
        assert (reading.value is not None) == (reading.outcome == "read")
        assert reading.reason
        assert not reading.reason.startswith("error"), wording
        if reading.outcome == "read":
            assert reading.span is not None
            start, end = reading.span
            assert 0 <= start < end <= len(wording.response)


@pytest.mark.parametrize("threads", [1, 16])
def test_readings_are_the_same_with_any_number_of_threads(
    readings: list[Reading[str] | Reading[Quantity]], threads: int
) -> None:
    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(reading_of, CORPUS)) == readings
