"""Following: properties that hold for any pool, and that it finds the prompts that a changing model can learn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rap_plugin.posterior.following import (
    NEVER,
    Beliefs,
    FollowOptions,
    begin,
    choose,
    group_numbers,
    informative,
    observe,
    posteriors,
    step_metrics,
    utilities,
    with_evidence,
    wording_of,
)

G = 5


def run(
    success: np.ndarray, steps: int, options: FollowOptions, groups: list[int] | None = None, size: int = 8
) -> tuple[Beliefs, list[np.ndarray]]:
    """Follows a model that never changes: sample i is right with probability success[i]."""
    random = np.random.default_rng(1)
    beliefs = begin(groups or [0] * len(success))
    asked = []
    for step in range(steps):
        rows = choose(beliefs, options, size, step)
        beliefs = observe(beliefs, options, rows, random.binomial(G, success[rows]), [G] * size)
        asked.append(rows)
    return beliefs, asked


@given(alpha=st.floats(0.05, 20), beta=st.floats(0.05, 20), responses=st.integers(2, 16))
@settings(max_examples=40, deadline=None)
def test_the_chance_of_an_informative_group_is_the_integral_over_success(
    alpha: float, beta: float, responses: int
) -> None:
    found = informative(np.array([alpha]), np.array([beta]), responses)[0]
    exact = stats.betabinom(responses, alpha, beta).pmf(np.arange(1, responses)).sum()
    assert found == pytest.approx(exact, abs=1e-9)


@given(seed=st.integers(0, 2**32), n=st.integers(1, 60), size=st.integers(1, 70), step=st.integers(0, 1000))
@settings(max_examples=80, deadline=None)
def test_a_batch_has_its_size_names_rows_of_the_pool_and_repeats_none_without_need(
    seed: int, n: int, size: int, step: int
) -> None:
    random = np.random.default_rng(seed)
    beliefs = begin(random.integers(0, 3, n).tolist())
    options = FollowOptions(G, seed=seed)
    for _ in range(3):
        rows = random.integers(0, n, 4)
        beliefs = observe(beliefs, options, rows, random.integers(0, G + 1, 4), [G] * 4)
    rows = choose(beliefs, options, size, step)
    assert len(rows) == size
    assert rows.min() >= 0
    assert rows.max() < n
    assert len(set(rows.tolist())) == min(n, size)
    np.testing.assert_array_equal(rows, choose(beliefs, options, size, step))
    alpha, beta = posteriors(beliefs, options)
    assert (alpha > 0).all()
    assert (beta > 0).all()


def test_batches_become_informative_and_other_steps_draw_other_rows() -> None:
    success = np.concatenate((np.zeros(60), np.ones(100), np.full(40, 0.5)))
    options = FollowOptions(G, half_life=400)
    _, asked = run(success, 80, options)
    good = [np.mean(success[rows] == 0.5) for rows in asked]
    assert np.mean(good[:5]) < 0.4
    assert np.mean(good[-20:]) > 0.7
    assert len({tuple(rows) for rows in asked}) == len(asked)


def test_what_was_solved_or_never_solved_rests_and_returns() -> None:
    success = np.concatenate((np.zeros(20), np.ones(20), np.full(20, 0.5)))
    options = FollowOptions(G, half_life=15, explore=0.1)
    beliefs, asked = run(success, 200, options, size=6)
    late = np.concatenate(asked[60:])
    share = np.bincount(late, minlength=60).reshape(3, 20).sum(axis=1) / len(late)
    assert share[2] > 0.5
    assert (np.bincount(late, minlength=60) > 0).all()
    assert (beliefs.seen != NEVER).all()


def test_beliefs_follow_a_model_that_changes() -> None:
    options = FollowOptions(G, half_life=10)
    beliefs = begin([0, 1])
    for _ in range(20):
        beliefs = observe(beliefs, options, [0], [0], [G])
    low = posteriors(beliefs, options)[0][0]
    for _ in range(20):
        beliefs = observe(beliefs, options, [0], [G], [G])
    alpha, beta = posteriors(beliefs, options)
    assert low / (low + beta[0]) < 0.5
    assert alpha[0] / (alpha[0] + beta[0]) > 0.7


def test_samples_of_one_group_share_strength_and_others_do_not() -> None:
    options = FollowOptions(G)
    beliefs = begin([0, 0, 0, 1])
    for _ in range(10):
        beliefs = observe(beliefs, options, [0, 1], [G, G], [G, G])
    alpha, beta = posteriors(beliefs, options)
    rate = alpha / (alpha + beta)
    assert rate[2] > 0.95
    assert rate[3] < rate[2]


def test_of_two_that_are_as_informative_the_one_that_needs_its_image_is_asked() -> None:
    n = 40
    image = np.full(n, 3.0), np.full(n, 6.0)
    needs = np.arange(n) < n // 2
    blind = np.where(needs, 0.0, 6.0), np.full(n, 6.0)
    beliefs = with_evidence(begin(list(range(n))), range(n), image, blind)
    options = FollowOptions(G, explore=0, image_weight=0.9)
    taken = np.concatenate([choose(beliefs, options, 10, step) for step in range(20)])
    assert needs[taken].mean() > 0.9
    alone = replace(options, image_weight=0.0)
    taken = np.concatenate([choose(beliefs, alone, 10, step) for step in range(20)])
    assert 0.3 < needs[taken].mean() < 0.7
    assert (utilities(beliefs, options)[needs] > utilities(beliefs, options)[~needs]).all()


def test_a_step_says_what_it_did() -> None:
    options = FollowOptions(G, half_life=2)
    beliefs = observe(begin([0] * 10), options, [0, 1], [5, 2], [G, G])
    for _ in range(4):
        beliefs = observe(beliefs, options, [2], [0], [G])
    numbers = step_metrics(beliefs, options, [0, 1, 5], [5, 3, 0], [G, G, G])
    assert numbers["rap/follow/informative"] == pytest.approx(1 / 3)
    assert (numbers["rap/follow/returned"], numbers["rap/follow/new"], numbers["rap/follow/seen"]) == (2, 1, 3)
    assert numbers["rap/follow/rollouts"] == 15
    assert 0 < numbers["rap/follow/effective_pool"] < 10


def test_wordings_are_questions_without_their_numbers() -> None:
    questions = ["What is 3 + 41?", "What is 12 + 7?", "Which digit is larger?"]
    assert group_numbers([wording_of(question) for question in questions]) == [0, 0, 1]
