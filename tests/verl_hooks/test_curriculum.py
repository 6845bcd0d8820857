"""The order of rows: shares that are kept, permutations where weights are equal, states that go on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rap_plugin.errors import RapError
from rap_plugin.verl_hooks.curriculum import Curriculum, disagreement
from rap_plugin.verl_hooks.rollout_counts import count


def make(counts: list[tuple[int, int]], **options: float) -> Curriculum:
    right, wrong = np.array(counts, dtype=float).T
    return Curriculum([f"row{i}" for i in range(len(counts))], right, wrong, **options)  # type: ignore[arg-type]


def test_disagreement_is_the_expectation_of_two_p_times_one_minus_p() -> None:
    draws = np.random.default_rng(0)
    for right, wrong in [(0, 0), (5, 0), (3, 2), (1, 4)]:
        p = draws.beta(right + 0.5, wrong + 0.5, 400_000)
        found = disagreement(np.array([float(right)]), np.array([float(wrong)]))[0]
        assert found == pytest.approx(float((2 * p * (1 - p)).mean()), abs=2e-3)


@given(st.integers(1, 40), st.integers(0, 2**31), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_with_equal_weights_every_epoch_is_a_permutation(rows: int, seed: int, epochs: int) -> None:
    curriculum = make([(2, 3)] * rows, seed=seed)
    for _ in range(epochs):
        assert sorted(curriculum.draw() for _ in range(rows)) == list(range(rows))


def test_epochs_are_not_all_in_one_order() -> None:
    curriculum = make([(2, 3)] * 30)
    first, second = ([curriculum.draw() for _ in range(30)] for _ in range(2))
    assert first != second


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=2, max_size=25), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_rows_come_as_often_as_their_weights_say(counts: list[tuple[int, int]], seed: int) -> None:
    curriculum = make(counts, seed=seed)
    share = curriculum.weights / curriculum.weights.sum()
    times = np.zeros(len(counts))
    draws = 20 * len(counts)
    for _ in range(draws):
        times[curriculum.draw()] += 1
    assert np.abs(times - draws * share).max() < 2.5, "each row is due once in every unit that it is owed"


def test_evidence_fades_as_the_model_moves() -> None:
    curriculum = make([(0, 5), (5, 0)], fade=0.5)
    for _ in range(8):
        curriculum.learn({"row0": (8, 0), "row1": (4, 4)})
    solved, split = curriculum.weights
    assert solved < 0.06
    assert split > 0.45


def test_rows_of_other_data_and_empty_groups_change_nothing() -> None:
    curriculum = make([(1, 4), (2, 3)])
    before = curriculum.weights
    curriculum.learn({"elsewhere": (3, 1), "row0": (0, 0)})
    assert (curriculum.weights == before).all()
    assert not curriculum.learned


def test_a_state_is_a_copy_and_goes_on_with_the_same_rows() -> None:
    curriculum = make([(i % 5, 5 - i % 5) for i in range(20)], seed=7)
    for _ in range(13):
        curriculum.draw()
    state = curriculum.state_dict()
    wanted = [curriculum.draw() for _ in range(60)]
    again = make([(0, 0)] * 20)
    again.load_state_dict(state)
    assert again.draws == 13
    assert [again.draw() for _ in range(60)] == wanted
    with pytest.raises(RapError, match="of other rows"):
        make([(0, 0)] * 19).load_state_dict(state)


def test_rollouts_are_counted_by_what_the_reward_says_of_them() -> None:
    rollouts = [
        ("a", 0.9, {"acc": 1.0}),
        ("a", 0.9, {"acc": 0.0}),
        ("a", 0.1, {"acc": True, "graded": 1.0}),
        ("a", 0.0, {"acc": 0.0, "graded": 0.0}),
        ("b", 0.9, {}),
        ("b", 0.1, {"acc": None}),
        ("b", 0.1, {"acc": "no number"}),
        (None, 1.0, {}),
        ("b", float("nan"), {}),
        ("b", 1.0, {"acc": float("nan")}),
        ("b", 1.0, {"acc": np.float32(0)}),
    ]
    assert count(rollouts, 0.5) == {"a": (2, 1), "b": (1, 3)}
    assert count(rollouts[4:5], 0.95) == {"b": (0, 1)}
