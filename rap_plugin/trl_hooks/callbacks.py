"""Callbacks of Transformers' Trainer, on which TRL's trainers are built."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from rap_plugin.hosts.follower import STATE

if TYPE_CHECKING:
    from rap_plugin.trl_hooks.following import Followed
    from rap_plugin.trl_hooks.reselect import Reselection


class SelectionLog(TrainerCallback):  # type: ignore[misc]
    """Logs numbers once, when training begins: Trainer empties its history before that."""

    def __init__(self, trainer: Any, metrics: dict[str, float]) -> None:
        self._trainer, self._metrics = trainer, metrics

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.global_step:
            self._trainer.log(dict(self._metrics))


class ReselectionCallback(TrainerCallback):  # type: ignore[misc]
    """Selects again between epochs, or every so many steps, and logs what came out."""

    def __init__(self, reselection: Reselection, trainer: Any) -> None:
        self._reselection, self._trainer = reselection, trainer
        self._resumed = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._resumed = state.global_step > 0
        if self._resumed:
            self._reselection.adopt(state.global_step)
        else:
            self._trainer.log(dict(self._reselection.rounds[-1].metrics))

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        resumed, self._resumed = self._resumed, False
        # The data loader is asked for a new iterator right after this, so the epoch reads what is put in place here.
        inside = resumed and state.global_step % _steps_per_epoch(args, kwargs["train_dataloader"])
        if self._reselection.every_steps is None and state.global_step and not inside:
            self._select(state, **kwargs)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        every = self._reselection.every_steps
        if every and state.global_step % every == 0 and state.global_step < state.max_steps:
            self._select(state, **kwargs)

    def _select(self, state: Any, model: Any, processing_class: Any, **kwargs: Any) -> None:
        made = self._reselection.select(model, state.global_step, processing_class)
        self._trainer.log(dict(made.metrics))


class FollowCallback(TrainerCallback):  # type: ignore[misc]
    """Saves what is followed with every checkpoint, and goes on from there."""

    def __init__(self, followed: Followed) -> None:
        self._followed = followed

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._followed.begin(state.global_step)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # Every process knows the same.
        if state.is_world_process_zero:
            self._followed.follower.save(Path(args.output_dir) / f"checkpoint-{state.global_step}" / STATE)


def _steps_per_epoch(args: Any, train_dataloader: Any) -> int:
    """As Trainer counts them."""
    return max(1, math.ceil(len(train_dataloader) / args.gradient_accumulation_steps))
