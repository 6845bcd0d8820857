"""The proof's third pool: digits, half of them asked in words that hold the answer."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def pools() -> Iterator[tuple[list, list]]:
    """The digit pool, and what the setting makes of it."""
    before = list(sys.path)
    sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "scripts")]
    from pays_for_itself import problems
    from pays_for_itself_arms import SETTINGS

    yield problems(SETTINGS["goal"], "pool"), problems(SETTINGS["texts"], "pool")
    sys.path[:] = before


def solve(question: str) -> int:
    """The answer from the words alone."""
    told = [int(digit) for digit in re.findall(r"\d", re.sub(r"A note says \d\. ", "", question))]
    if "after the sum" in question:
        return sum(told) + 1
    if "sum" in question:
        return sum(told)
    if "largest" in question:
        return max(told)
    return told[0] if "left" in question else told[1]


def test_half_of_the_pool_is_asked_in_words_that_hold_the_answer(pools: tuple[list, list]) -> None:
    digits, texts = pools
    asked = [after for before, after in zip(digits, texts, strict=True) if before != after]
    assert len(asked) == len(digits) / 2
    assert set(Counter(problem.kind for problem in asked).values()) == {200}
    assert all(str(solve(problem.question)) == problem.answer for problem in asked)
    assert not any(problem.needs_image for problem in asked)


def test_what_needs_its_image_is_as_it_was(pools: tuple[list, list]) -> None:
    digits, texts = pools
    assert [problem for problem in texts if problem.needs_image] == [p for p in digits if p.needs_image]


def test_everyone_is_tested_on_the_problems_of_the_digit_pool(pools: tuple[list, list]) -> None:
    from pays_for_itself import problems
    from pays_for_itself_arms import SETTINGS

    for which in ("validation", "test", "shift"):
        assert problems(SETTINGS["texts"], which) == problems(SETTINGS["goal"], which)
