"""OpenRLHF's trainers with the selection in their logs, and prompts that know their row: its own classes and loggers.

Imported by the driver, to put the classes in their place, and by Ray in the trainer's processes. Nothing else of a training
is touched: what is logged is added to what OpenRLHF logs.
"""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

from rap_plugin.openrlhf_hooks import contract
from rap_plugin.openrlhf_hooks.additions import Additions
from rap_plugin.openrlhf_hooks.following import follow
from rap_plugin.openrlhf_hooks.replacing import replaced
from rap_plugin.openrlhf_hooks.row_prompts import mark_prompts

Metrics = dict[str, float]


class Started:
    """A class as OpenRLHF starts it, by `.remote(..)`, with the additions as one argument more."""

    def __init__(self, kind: type, additions: Additions) -> None:
        self.kind, self.additions = kind, additions

    def remote(self, *arguments: Any, **options: Any) -> Any:
        """Starts the Ray actor."""
        import ray

        return ray.remote(self.kind).remote(self.additions, *arguments, **options)


class _LogsSelection:
    """What both trainers that hold loggers get: the selection at step 0, and a number more for every step."""

    def __init__(self, additions: Additions, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        this: Any = self
        for logger in (this.wandb_logger, this.tensorboard_logger):
            log_selection(logger, additions.metrics)

    def _compute_rollout_stats(self, experiences: Any) -> dict[str, float]:
        this: Any = super()
        stats: dict[str, float] = this._compute_rollout_stats(experiences)
        return {**stats, **informative_groups(experiences)}

    def save_logs_and_checkpoints(
        self, global_step: int, logs_dict: Any = None, client_states: dict[str, Any] | None = None
    ) -> None:
        # The loader's state comes with every step, from another process where the trainer is asynchronous.
        followed = (client_states or {}).get("data_loader_state_dict", {}).get("metrics", {})
        this: Any = super()
        this.save_logs_and_checkpoints(global_step, {**(logs_dict or {}), **followed}, client_states)


def log_selection(logger: Any, metrics: Metrics) -> None:
    """Logs a selection at step 0; does nothing where there is no logger."""
    if logger is not None and metrics:
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


def read_rows(reader: Any, additions: Additions) -> None:
    """Has the prompts of whoever holds the loader know their rows, and follow, where something asks for it."""
    if additions.other_key is not None or additions.follow is not None:
        generator = reader.samples_generator
        mark_prompts(reader.prompts_dataloader.dataset, reader.args, generator.tokenizer, additions.other_key)
    if additions.follow is not None:
        follow(reader, additions.follow)


Trainer: Any = contract.plain_class(contract.TRAINER)
TrainerAsync: Any = contract.plain_class(contract.ASYNC_TRAINER)
TrainingActor: Any = contract.plain_class(contract.ASYNC_TRAINING)
Generator: Any = contract.plain_class(contract.ASYNC_GENERATOR)


class RapTrainer(_LogsSelection, Trainer):  # type: ignore[misc]
    """`PPOTrainer`."""

    def __init__(self, additions: Additions, *arguments: Any, **options: Any) -> None:
        super().__init__(additions, *arguments, **options)
        read_rows(self, additions)


class RapTrainingActor(_LogsSelection, TrainingActor):  # type: ignore[misc]
    """`TrainingActor`, the part of the asynchronous trainer that trains and logs."""


class RapGenerator(Generator):  # type: ignore[misc]
    """`GenerateSamplesActor`, the part of the asynchronous trainer that reads rows and samples."""

    def __init__(self, additions: Additions, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        read_rows(self, additions)


class RapTrainerAsync(TrainerAsync):  # type: ignore[misc]
    """`PPOTrainerAsync`, which starts our training actor and our generator."""

    def __init__(self, additions: Additions, *arguments: Any, **options: Any) -> None:
        training, generator = Started(RapTrainingActor, additions), Started(RapGenerator, additions)
        with replaced(contract.ASYNC_TRAINING, training), replaced(contract.ASYNC_GENERATOR, generator):
            super().__init__(*arguments, **options)


def install(command: dict[str, Any], args: SimpleNamespace, additions: Additions) -> None:
    """Puts our classes in the places where the running PPO command looks next, for the rest of the process.

    `command` are its globals.
    """
    asynchronous = args.train.async_enable
    kind = RapTrainerAsync if asynchronous else RapTrainer
    module, _, name = (contract.ASYNC_TRAINER if asynchronous else contract.TRAINER).partition(":")
    setattr(importlib.import_module(module), name, Started(kind, additions))
    if additions.other_key is not None:
        import ray

        from rap_plugin.openrlhf_hooks.contrastive_actor import ContrastivePolicyActor

        command["PolicyModelActor"] = ray.remote(num_gpus=1)(ContrastivePolicyActor)
