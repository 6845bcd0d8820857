"""Reward functions that are listened to: called as TRL calls them, and what they say is left as it is."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from trl.trainer.utils import get_callable_name, is_async_callable

from rap_plugin.errors import RapError
from rap_plugin.trl_hooks import accuracy_reward
from rap_plugin.trl_hooks.watching import Watched

COLUMNS = {"prompts": ["p"] * 3, "completions": ["1", "2", "3"], "completion_ids": [[1]] * 3, "rap_place": [0, 0, 1]}


class Half:
    """A callable object, as TRL takes them."""

    def __call__(self, completions: Any, **columns: Any) -> list[float]:
        return [0.5] * len(completions)


def constant(completions: Any, value: Any, **columns: Any) -> list[Any]:
    return [value] * len(completions)


async def later(completions: Any, **columns: Any) -> list[float | None]:
    return [1.0, None, 0.0]


def generator(completions: Any, **columns: Any) -> Any:
    return (float(text) for text in completions)


def tensor(completions: Any, **columns: Any) -> Any:
    return torch.tensor([0.25, float("nan"), -3.0])


@pytest.mark.parametrize(
    ("reward", "said"),
    [
        (Half(), [0.5] * 3),
        (functools.partial(constant, value=-1), [-1.0] * 3),
        (later, [1.0, None, 0.0]),
        (functools.partial(later), [1.0, None, 0.0]),
        (generator, [1.0, 2.0, 3.0]),
        (tensor, pytest.approx([0.25, float("nan"), -3.0], nan_ok=True)),
    ],
)
def test_a_reward_of_any_form_is_told_and_returned(reward: Any, said: Any) -> None:
    told: list[Any] = []
    followed: Any = SimpleNamespace(
        tell=lambda places, values, ask, measure: told.append((places, values)) or {},
        ask_blind=print,
        measure=print,
    )
    watched = Watched(reward, followed)
    for _ in range(2):
        assert [None if one is None else float(one) for one in watched(**COLUMNS)] == said
    assert told == [([0, 0, 1], said)] * 2
    assert not is_async_callable(watched), "TRL takes what it returns as it is"
    assert get_callable_name(watched) == get_callable_name(reward), "the name in TRL's logs"


def test_too_few_values_are_left_to_trl_which_says_so() -> None:
    followed: Any = SimpleNamespace()
    assert Watched(lambda **columns: [1.0], followed)(**COLUMNS) == [1.0]


@pytest.mark.parametrize("reward", ["org/reward-model", torch.nn.Linear(1, 1), [accuracy_reward], None])
def test_what_is_no_function_is_refused_before_the_training(reward: Any) -> None:
    followed: Any = None
    with pytest.raises(RapError, match="is no function"):
        Watched(reward, followed)
