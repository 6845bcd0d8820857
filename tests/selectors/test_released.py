"""RAP `released`: bit for bit against plain Python lists."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rap_plugin.config import load_config
from rap_plugin.errors import RapError
from rap_plugin.selectors.rap import select_rap
from tests.tables import make_table, scores_of

RELEASED = load_config(flags={"selection.preset": "released"})
M = 5


def literal(a_counts: list[int], t_counts: list[int], high: list[int]) -> tuple[list[int], list[int]]:
    """(core, drawn hard samples) as indices, by the released script's formulas on plain floats."""
    a = [count / M for count in a_counts]
    t = [count / M for count in t_counts]
    total = total_t = 0.0
    for value in a:
        total += value
    for value in t:
        total_t += value
    b = total / len(a)
    g = b - total_t / len(t)
    s = [1.0 if b == 1 else 1 - (x - b) ** 2 / (1 - b) ** 2 for x in a]
    easy = [count == M for count in high]
    right1 = [count == 1 for count in high]
    n = range(len(a))
    core = [i for i in n if s[i] >= 0.6 and a[i] - t[i] > 0.2 and not easy[i]]
    first = {i for i in n if s[i] >= 0.85 and (a[i] - t[i] > g or (right1[i] and a[i] - t[i] >= 0.2))}
    second = {i for i in n if right1[i] and a[i] - t[i] >= 0.6}
    pool = [i for i in n if (i in first or i in second) and right1[i]]
    return core, random.Random(42).sample(pool, int(0.1 * len(pool)))


@given(
    st.lists(
        st.tuples(st.integers(0, M), st.integers(0, M), st.integers(0, M)).map(lambda x: (min(x[0], x[2]), x[1], x[2])),
        min_size=1,
        max_size=120,
    )
)
@settings(max_examples=200, deadline=None)
def test_it_selects_what_the_released_script_selects(drawn: list[tuple[int, int, int]]) -> None:
    exact, blind, high = (list(column) for column in zip(*drawn, strict=True))
    table = make_table(high, blind, exact_image=exact, exact_blind=blind)
    decision = select_rap(table, scores_of(table), RELEASED)
    core, hard = literal(exact, blind, high)
    assert [i for i, chosen in enumerate(decision.chosen) if chosen] == sorted({*core, *hard})


def test_the_draw_from_a_hard_pool_is_the_seeded_one() -> None:
    # Mostly unsolved, so that b is low and samples with one right answer are aligned.
    image = [0] * 60 + [1] * 40
    table = make_table(image, [0] * 100)
    decision = select_rap(table, scores_of(table), RELEASED)
    drawn = random.Random(42).sample(list(range(60, 100)), 4)
    assert set(decision.verdicts.nonzero()[0][decision.verdicts == "hard_replacement"]) <= set(drawn)
    assert {i for i in range(100) if decision.chosen[i]} >= set(drawn)


def test_comparisons_are_on_doubles_as_written() -> None:
    # 3/5 - 2/5 is 0.19999999999999996, not above 0.2; 2/5 - 1/5 is 0.2, not above it either.
    assert not 3 / 5 - 2 / 5 > 0.2
    table = make_table([3, 2, 4], [2, 1, 1])
    assert select_rap(table, scores_of(table), RELEASED).verdicts.tolist()[:2] == ["language_prior", "language_prior"]


def test_an_empty_hard_pool_is_explained() -> None:
    table = make_table([5, 4, 4], [0, 0, 0])
    assert any("hard pool is empty" in note for note in select_rap(table, scores_of(table), RELEASED).notes)


def test_a_budget_is_refused() -> None:
    table = make_table([4], [0])
    with pytest.raises(RapError, match="fixes its thresholds"):
        select_rap(table, scores_of(table), load_config(flags={"selection.preset": "released", "selection.keep": 0.1}))
