"""Following: properties that hold for any pool, and that it finds the prompts that a changing model can learn from."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rap_plugin.errors import RapError
from rap_plugin.posterior.following import (
    NEVER,
    Beliefs,
    FollowOptions,
    attention_posteriors,
    begin,
    blind_posteriors,
    choose,
    group_numbers,
    informative,
    instalment,
    measurements,
    observe,
    observe_attention,
    observe_blind,
    posteriors,
    renewals,
    step_metrics,
    utilities,
    with_evidence,
    wording_of,
)

G = 5


def mean_worth(beliefs: Beliefs, options: FollowOptions, draws: int = 4_000) -> np.ndarray:
    random = np.random.default_rng(0)
    return np.mean([utilities(beliefs, options, random) for _ in range(draws)], axis=0)


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
    worth = mean_worth(beliefs, options, 400)
    assert worth[needs].min() > worth[~needs].max()


def test_what_is_guessed_as_well_without_its_image_gives_way_to_what_the_image_decides() -> None:
    """A guess among two is the most informative group there is, and stays so however long it is trained on."""
    random = np.random.default_rng(0)
    success, blind = np.repeat([0.5, 0.15], 40), np.repeat([0.5, 0.0], 40)
    shares = []
    for image_weight in (0.0, 1.0):
        options = FollowOptions(G, image_weight=image_weight, renew=0.1)
        beliefs, asked = begin(np.repeat([0, 1], 40).tolist()), []
        for step in range(120):
            rows = choose(beliefs, options, 8, step)
            beliefs = observe(beliefs, options, rows, random.binomial(G, success[rows]), [G] * 8)
            looks = renewals(beliefs, options, rows.tolist(), instalment(options, 8, step))
            beliefs = observe_blind(beliefs, options, looks, random.binomial(1, blind[looks]), [1] * len(looks))
            asked.append(np.mean(rows < 40))
        shares.append(np.mean(asked[60:]))
    assert shares[0] > 0.6
    assert shares[1] < 0.2


GRID = (np.arange(200_000) + 0.5) / 200_000


def enumerated(history: list[tuple[int, int, int]], rows: int, half_life: float, strength: float) -> np.ndarray:
    """(rows,) mean success of the last row of each group of two, by summing the discounted likelihood over all values of success.

    A rollout of age t has the likelihood to the power 0.5^(t / half_life); the prior is a Beta about the rate of the others of
    its group, which are a rate about the pool's, all of them sums over rollouts one by one.
    """
    last = max(step for step, _, _ in history)
    weight = [(row, right, 0.5 ** ((last - step) / half_life)) for step, row, right in history]
    pool = (sum(w for _, right, w in weight if right) + strength / 2) / (sum(w for *_, w in weight) + strength)
    means = []
    for row in range(rows):
        others = [(right, w) for other, right, w in weight if other != row and other // 2 == row // 2]
        rate = (sum(w for right, w in others if right) + strength * pool) / (sum(w for _, w in others) + strength)
        log = (strength * rate - 1) * np.log(GRID) + (strength * (1 - rate) - 1) * np.log1p(-GRID)
        for at, right, w in weight:
            log += w * (np.log(GRID) if right else np.log1p(-GRID)) if at == row else 0.0
        density = np.exp(log - log.max())
        means.append((GRID * density).sum() / density.sum())
    return np.array(means)


def test_of_two_that_are_as_informative_the_harder_is_asked_where_headroom_counts() -> None:
    n = 40
    right = np.where(np.arange(n) % 2, 3.0, 7.0)
    none = np.zeros(n)
    beliefs = with_evidence(begin(range(n)), range(n), (right, np.full(n, 10.0)), (none, none))
    hard = np.arange(n) % 2 == 1

    def share(headroom: float) -> float:
        options = FollowOptions(G, explore=0, headroom=headroom)
        return float(np.mean([hard[choose(beliefs, options, 8, step)].mean() for step in range(200)]))

    assert share(0.0) == pytest.approx(0.5, abs=0.06)
    assert share(1.0) > 0.9


@pytest.mark.parametrize(
    ("tell", "read"), [(observe, posteriors), (observe_attention, attention_posteriors)], ids=["success", "attention"]
)
def test_the_posterior_with_discount_and_shared_strength_is_that_of_enumeration(tell: Any, read: Any) -> None:
    options = FollowOptions(3, half_life=2.0, strength=3.0)
    random = np.random.default_rng(4)
    beliefs, history = begin([0, 0, 1, 1]), []
    for step in range(5):
        row, right = int(random.integers(4)), int(random.integers(4))
        history += [(step, row, int(k < right)) for k in range(3)]
        beliefs = tell(beliefs, options, [row], [right], [3])
    alpha, beta = read(beliefs, options)
    np.testing.assert_allclose(alpha / (alpha + beta), enumerated(history, 4, 2.0, 3.0), atol=2e-4)
    assert beliefs.step == (5 if tell is observe else 0)


@pytest.mark.parametrize("headroom", [0.0, 1.0, 2.5])
def test_a_draw_asks_each_row_as_often_as_enumeration_over_two_posteriors_says(headroom: float) -> None:
    beliefs = observe(begin([0, 1]), FollowOptions(G), [0, 1], [5, 2], [6, 6])
    options = FollowOptions(2, explore=0.0, headroom=headroom)
    alpha, beta = posteriors(beliefs, options)
    grid = (np.arange(2_000) + 0.5) / 2_000
    first, second = (stats.beta(alpha[i], beta[i]).pdf(grid) / 2_000 for i in (0, 1))
    worth = (1 - grid**2 - (1 - grid) ** 2) * (1 - grid) ** headroom
    exact = (first[:, None] * second[None] * (worth[:, None] > worth[None])).sum()
    taken = np.mean([choose(beliefs, options, 1, step)[0] == 0 for step in range(1_500)])
    assert taken == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 1_500))


@given(
    renew=st.floats(0, 1.5),
    size=st.integers(1, 20),
    multiple=st.integers(1, 8),
    steps=st.integers(1, 200),
)
@settings(max_examples=60, deadline=None)
def test_instalments_add_up_to_the_budget(renew: float, size: int, multiple: int, steps: int) -> None:
    options = FollowOptions(G, renew=renew)
    parts = [instalment(options, size, step, multiple) for step in range(steps)]
    assert all(part >= 0 and part % multiple == 0 for part in parts)
    assert renew * size * G * steps - multiple < sum(parts) <= renew * size * G * steps + 1e-6


def solved_open_and_unseen(options: FollowOptions) -> Beliefs:
    """Row 0 is always right, 1 to 3 half of the time, 4 was never asked."""
    beliefs = observe(begin(list(range(5))), options, [0, 1, 2, 3], [G, 30, 30, 30], [G, 60, 60, 60])
    for _ in range(9):
        beliefs = observe(beliefs, options, [0], [G], [G])
    return beliefs


def test_the_blind_arm_is_renewed_where_little_is_known_of_it_and_something_can_be_learned() -> None:
    options = FollowOptions(G, renew=0.1)
    beliefs = observe_blind(solved_open_and_unseen(options), options, [1, 2], [20, 1], [40, 2])
    assert renewals(beliefs, options, [0, 1, 2, 3, 3], 2) == [3, 2]
    assert renewals(beliefs, options, [0, 3], 3) == [3, 0, 3]
    assert renewals(beliefs, options, [], 3) == []


@given(share=st.floats(0, 1), size=st.integers(1, 12), n=st.integers(1, 12), steps=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_measured_responses_add_up_to_the_budget_and_none_is_measured_twice(
    share: float, size: int, n: int, steps: int
) -> None:
    options = FollowOptions(G, renew_attention=share)
    beliefs, total = begin(list(range(n))), 0
    for step in range(steps):
        rows = choose(beliefs, options, size, step).tolist()
        named = Counter(measurements(beliefs, options, rows, step))
        assert all(count <= G * rows.count(row) for row, count in named.items())
        total += named.total()
    assert share * size * G * steps - 1 < total <= share * size * G * steps + 1e-6


def test_attention_is_measured_where_little_is_known_of_it_and_something_can_be_learned() -> None:
    options = FollowOptions(G, renew_attention=0.2)
    beliefs = observe_attention(solved_open_and_unseen(options), options, [1, 2], [20, 1], [40, 2])
    assert measurements(beliefs, options, [0, 1, 2, 3], 0) == [3, 2, 1, 0]
    assert measurements(beliefs, options, [0, 3], 0) == [3, 0]
    assert measurements(beliefs, replace(options, renew_attention=1), [3, 0, 3], 0) == [3, 0] * G + [3] * G
    assert measurements(beliefs, FollowOptions(G), [0, 1], 0) == []


def test_attention_takes_its_weight_of_a_samples_worth_and_nothing_where_none_was_measured() -> None:
    beliefs = observe(begin([0, 1, 2]), FollowOptions(G), [0, 1, 2], [3, 3, 3], [6, 6, 6])
    told, untold = FollowOptions(G, attention_weight=0.8, explore=0.0), FollowOptions(G, explore=0.0)
    np.testing.assert_array_equal(mean_worth(beliefs, told, 3), mean_worth(beliefs, untold, 3))
    for step in range(20):
        np.testing.assert_array_equal(choose(beliefs, told, 2, step), choose(beliefs, untold, 2, step))
    # Strength 2 about a group's rate: of the pool, 5 + 1 of 8 + 2, where a sample is alone in its group.
    beliefs = observe_attention(beliefs, told, [0, 1], [4, 1], [4, 4])
    biased = np.array([1.2 + 4, 1.2 + 1, 1.2]) / np.array([6, 6, 2])
    np.testing.assert_allclose(mean_worth(beliefs, told), mean_worth(beliefs, untold) * (1 - 0.8 * biased), rtol=0.05)
    taken = np.bincount([choose(beliefs, told, 1, step)[0] for step in range(300)], minlength=3)
    assert taken[1] > 2 * taken[0]
    without = np.bincount([choose(beliefs, untold, 1, step)[0] for step in range(300)], minlength=3)
    assert without.min() > 70


def test_an_instalment_makes_older_evidence_of_the_blind_arm_fade_and_a_sample_come_back() -> None:
    options = FollowOptions(G, half_life=5, renew=0.1, explore=0.0)
    n = 4
    counts = np.full(n, 6.0)
    beliefs = with_evidence(begin(list(range(n))), range(n), (counts / 2, counts), (counts * [1, 0, 0, 0], counts))
    before = mean_worth(beliefs, options)
    assert before[0] < before[1]
    for _ in range(20):
        beliefs = observe_blind(beliefs, options, [0], [0], [2])
    alpha, beta = blind_posteriors(beliefs, options)
    assert alpha[0] / (alpha[0] + beta[0]) < 0.1
    assert beliefs.blind_asked[1] == pytest.approx(6 / 16)
    assert beliefs.step == 0
    assert mean_worth(beliefs, options)[0] > 1.2 * before[0]


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


@pytest.mark.parametrize(
    "wrong",
    [
        {"half_life": 0},
        {"strength": -1},
        {"explore": 1.5},
        {"image_weight": float("nan")},
        {"headroom": -1},
        {"renew": -0.1},
        {"renew_attention": 1.1},
        {"attention_weight": -0.5},
        {"strength": float("inf")},
        {"strength": None},
        {"half_life": "100"},
        {"renew": "0.1"},
        {"seed": 1.5},
        {"seed": 2**63},
    ],
)
def test_options_that_mean_nothing_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(RapError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))!r}"):
        FollowOptions(G, **wrong)


@pytest.mark.parametrize("strength", [1e-300, 1e-12, 2, 1e300])
def test_a_pool_that_is_always_right_still_has_a_posterior(strength: float) -> None:
    options = FollowOptions(G, strength=strength, seed=-1)
    beliefs = observe(begin([0] * 5), options, [0], [1e5], [1e5])
    alpha, beta = posteriors(beliefs, options)
    assert (alpha > 0).all()
    assert (beta > 0).all()
    assert len(set(choose(beliefs, options, 3, 1).tolist())) == 3


def test_labels_that_say_the_same_are_one_group() -> None:
    nan = float("nan")
    assert group_numbers([nan, np.float64(nan), None, "a", np.str_("a"), 1, np.int64(1), True]) == [
        0,
        0,
        0,
        1,
        1,
        2,
        2,
        2,
    ]
    assert group_numbers([["x"], ["x"], ["y"], {"k": 1}, {"k": 1}]) == [0, 0, 1, 2, 2]
    with pytest.raises(RapError, match="groups: a set is no label"):
        group_numbers([{1, 2}])


def test_wordings_are_questions_without_their_numbers_and_names() -> None:
    questions = ["What is 3 + 41?", "What is 12 + 7?", "Which digit is larger?"]
    assert group_numbers([wording_of(question) for question in questions]) == [0, 0, 1]
    drawn = ["AB = 4, angle JOL = 30. Find x.", "PQ = 11, angle ABC = 60. Find x.", "PQ = 11, line ABC. Find x."]
    assert group_numbers([wording_of(question) for question in drawn]) == [0, 0, 1]
    assert wording_of("Is the SOLID line longer?") == "is the solid line longer?"
    assert wording_of("FIND X IN 12 ABCD") == "find x in abcd"
    assert wording_of("已知 AB=3, 求 x") == "已知 = , 求 x"
