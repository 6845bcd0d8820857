"""A reward function that following listens to, called as TRL calls it."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from rap_plugin.errors import RapError
from rap_plugin.trl_hooks.rewards import Reward

if TYPE_CHECKING:
    from rap_plugin.trl_hooks.following import Followed

PLACE, ROW = "rap_place", "rap_row"
"""Columns that a row gets on its way to the trainer; reward functions see them. A `rap_row` of the data set's own stays."""


class Watched:
    """A reward function whose values are told to `followed`, and are otherwise what they were."""

    def __init__(self, reward: Reward, followed: Followed) -> None:
        from torch import nn

        if isinstance(reward, nn.Module) or not callable(reward):
            raise RapError(
                f"watch: a {type(reward).__name__} is no function; following listens to a function of prompts and "
                "completions, as accuracy_reward is (a reward model: a function that asks it)"
            )
        self._reward, self.followed = reward, followed
        self.__name__ = _name(reward)

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Any], completion_ids: Any = None, **columns: Any
    ) -> list[float | None]:
        given = {"prompts": prompts, "completions": completions, "completion_ids": completion_ids, **columns}
        values = self.rewards(**given)
        # Rows of an evaluation come from another data set; of another number of values TRL says what is wrong.
        if PLACE in columns and len(values) == len(prompts):
            ask = partial(self.followed.ask_blind, self.rewards, columns)
            measure = partial(self.followed.measure, prompts, completion_ids)
            plain = [None if value is None else float(value) for value in values]
            metrics = self.followed.tell(columns[PLACE], plain, ask, measure)
            if log := columns.get("log_metric"):
                for name, value in metrics.items():
                    log(name, value)
        return values

    def rewards(self, **given: Any) -> list[float | None]:
        """What the function says, a coroutine waited for, an iterator read once."""
        values: Any = self._reward(**given)
        if inspect.isawaitable(values):
            values = asyncio.run_coroutine_threadsafe(_waited(values), _loop()).result()
        return list(values)


async def _waited(value: Any) -> Any:
    return await value


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """One loop in a thread of its own: what a reward function opened in one batch is there in the next, under a notebook's loop too."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="rap-rewards", daemon=True).start()
    return loop


def _name(reward: Any) -> str:
    """As TRL names it in its logs."""
    while isinstance(reward, functools.partial):
        reward = reward.func
    return getattr(reward, "__name__", type(reward).__name__)
