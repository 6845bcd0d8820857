"""OpenRLHF's trainers with the selection in their logs: its own classes, and its own W&B and TensorBoard loggers.

Imported by the driver, to put the classes in their place, and by Ray in the trainer's process. Nothing else of a training
is touched: what is logged is added to what OpenRLHF logs.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rap_plugin.openrlhf_hooks import contract

Metrics = dict[str, float]


class WithMetrics:
    """A trainer's class as OpenRLHF starts it, by `.remote(..)`, with the metrics as one argument more."""

    def __init__(self, kind: type, metrics: Metrics) -> None:
        self._kind, self._metrics = kind, metrics

    def remote(self, *arguments: Any, **options: Any) -> Any:
        """Starts the Ray actor."""
        import ray

        return ray.remote(self._kind).remote(self._metrics, *arguments, **options)


class _LogsSelection:
    """What both trainers that hold loggers get: the selection at step 0, and a number more for every step."""

    def __init__(self, metrics: Metrics, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        this: Any = self
        for logger in (this.wandb_logger, this.tensorboard_logger):
            log_selection(logger, metrics)

    def _compute_rollout_stats(self, experiences: Any) -> dict[str, float]:
        this: Any = super()
        stats: dict[str, float] = this._compute_rollout_stats(experiences)
        return {**stats, **informative_groups(experiences)}


def log_selection(logger: Any, metrics: Metrics) -> None:
    """Logs a selection at step 0; does nothing where there is no logger."""
    if logger is not None:
        logger.log_train(0, metrics)


def informative_groups(experiences: Any) -> dict[str, float]:
    """The share of a batch's groups whose responses got different rewards; nothing where groups have one response.

    OpenRLHF notes the standard deviation of a group's rewards beside each of its responses.
    """
    spreads = [e.info["group_reward_std"] for e in experiences if "group_reward_std" in e.info]
    responses = sum(spread.numel() for spread in spreads)
    if not responses:
        return {}
    return {"rap/informative_groups": sum(int((spread > 0).sum()) for spread in spreads) / responses}


Trainer: Any = contract.plain_class(contract.TRAINER)
TrainerAsync: Any = contract.plain_class(contract.ASYNC_TRAINER)
TrainingActor: Any = contract.plain_class(contract.ASYNC_TRAINING)


class LoggingTrainer(_LogsSelection, Trainer):  # type: ignore[misc]
    """`PPOTrainer`."""


class LoggingTrainingActor(_LogsSelection, TrainingActor):  # type: ignore[misc]
    """`TrainingActor`, the part of the asynchronous trainer that trains and logs."""


class LoggingTrainerAsync(TrainerAsync):  # type: ignore[misc]
    """`PPOTrainerAsync`, which starts our training actor."""

    def __init__(self, metrics: Metrics, *arguments: Any, **options: Any) -> None:
        with _replaced(contract.ASYNC_TRAINING, WithMetrics(LoggingTrainingActor, metrics)):
            super().__init__(*arguments, **options)


def install(metrics: Metrics, *, asynchronous: bool) -> None:
    """Puts our class in the place where OpenRLHF's command looks for its trainer next, for the rest of the process."""
    kind = LoggingTrainerAsync if asynchronous else LoggingTrainer
    module, _, name = (contract.ASYNC_TRAINER if asynchronous else contract.TRAINER).partition(":")
    setattr(importlib.import_module(module), name, WithMetrics(kind, metrics))


@contextmanager
def _replaced(place: str, thing: Any) -> Iterator[None]:
    module, _, name = place.partition(":")
    home = importlib.import_module(module)
    before = getattr(home, name)
    setattr(home, name, thing)
    try:
        yield
    finally:
        setattr(home, name, before)
