"""GRPOTrainer with DAPO's dynamic sampling (arXiv 2503.14476), which TRL does not have: prompts whose responses all score
alike teach nothing, so they are replaced by others before anything is learned from the batch.

Clip-higher (`epsilon=0.2, epsilon_high=0.28`), dual clip (`delta=10`: `min(ratio, delta)` times a negative advantage is the
dual clip), and the token mean (`loss_type="dapo"`) are TRL's own options; overlong shaping is one of its reward functions.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from trl import GRPOTrainer

from rap_plugin.errors import RapError
from rap_plugin.trl_hooks.prompting import IMAGE_COLUMNS, chat_of

Rollouts = tuple[Any, ...]
"""What `GRPOTrainer._generate` returns: lists with one entry per response, or None or an empty container."""


@dataclass(frozen=True)
class PromptGroup:
    """The responses to one prompt: its row, where they stand in `rollouts`, and their rewards, one line per response."""

    row: dict[str, Any]
    rollouts: Rollouts
    at: slice
    rewards: torch.Tensor
    informative: bool


class DapoTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPOTrainer that samples up to `max_rounds` times per batch until every group has rewards that differ.

    `max_rounds=1` is plain GRPO. Where the rounds are used up, groups that teach nothing fill the batch. Each round samples as
    many prompts as the yield so far asks for, drawn from the training set with a seed made of `args.seed`, the step and the
    process, so that a resumed training draws the same ones.
    """

    def __init__(self, *args: Any, max_rounds: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.max_rounds = max_rounds
        self._ready: tuple[Rollouts, torch.Tensor] | None = None
        if max_rounds > 1:
            self._check()

    def _check(self) -> None:
        """Raises RapError where groups cannot be sampled again."""
        if self.tools or self.environment_factories is not None or self.rollout_func is not None:
            raise RapError("dynamic sampling works with plain responses: no tools, environments or rollout_func")
        if not hasattr(self.train_dataset, "__getitem__"):
            raise RapError("dynamic sampling draws rows by their number; give a datasets.Dataset, not a stream")
        local = self.args.per_device_train_batch_size * self.args.steps_per_generation
        if local % self.num_generations:
            raise RapError(
                f"dynamic sampling needs whole groups on each device: {local} responses a device are no multiple of "
                f"num_generations={self.num_generations}"
            )

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if self.max_rounds <= 1 or not self.model.training:
            made: dict[str, Any] = super()._generate_and_score_completions(inputs)
            return made
        groups = self._sample_groups(inputs)
        self._ready = (
            _joined([group.rollouts for group in groups], [group.at for group in groups]),
            self._rewards(groups),
        )
        try:
            made = super()._generate_and_score_completions(
                [dict(group.row) for group in groups for _ in range(self.num_generations)]
            )
        finally:
            self._ready = None
        return made

    def _generate(self, prompts: list[Any]) -> Rollouts:
        if self._ready is not None:
            return self._ready[0]
        made: Rollouts = super()._generate(prompts)
        return made

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids: Any) -> torch.Tensor:
        if self._ready is not None:
            return self._ready[1]
        made: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids)
        return made

    def _sample_groups(self, inputs: list[dict[str, Any]]) -> list[PromptGroup]:
        """As many groups as `inputs` holds, the informative ones first."""
        size = self.num_generations
        rows = [dict(inputs[at]) for at in range(0, len(inputs), size)]
        wanted, drawn = len(rows), self._other_rows()
        useful: list[PromptGroup] = []
        others: list[PromptGroup] = []
        rounds = 0
        while rounds < self.max_rounds:
            rounds += 1
            for group in self._sampled(rows):
                (useful if group.informative else others).append(group)
            # Sampling is collective: every process goes on until the last one has what it needs.
            lacking = int(self._most(wanted - len(useful)))
            if lacking <= 0:
                break
            share = max(len(useful) / (len(useful) + len(others)), 0.25)
            rows = [next(drawn) for _ in range(int(self._most(min(wanted, math.ceil(lacking / share)))))]
        metrics = self._metrics["train"]
        metrics["dynamic_sampling/rounds"].append(float(rounds))
        metrics["dynamic_sampling/informative"].append(len(useful) / (len(useful) + len(others)))
        return (useful + others)[:wanted]

    def _sampled(self, rows: Sequence[dict[str, Any]]) -> list[PromptGroup]:
        size = self.num_generations
        inputs = [dict(row) for row in rows for _ in range(size)]
        column = next((name for name in IMAGE_COLUMNS if name in inputs[0]), None)
        prompts = [row["prompt"] if column is None else chat_of(row, column) for row in inputs]
        rollouts = self._generate(prompts)
        rewards = self._calculate_rewards(inputs, prompts, rollouts[3], rollouts[1])
        local = rewards[self.accelerator.process_index * len(inputs) :][: len(inputs)]
        groups = []
        for number, row in enumerate(rows):
            at = slice(number * size, (number + 1) * size)
            groups.append(PromptGroup(row, rollouts, at, local[at], self._differ(local[at])))
        return groups

    def total_rewards(self, rewards: torch.Tensor) -> torch.Tensor:
        """Rewards (responses, functions) -> the weighted sum (responses); NaN where no function judged."""
        total = (rewards * self.reward_weights.to(rewards.device)).nansum(dim=1)
        return total.masked_fill(rewards.isnan().all(dim=1), torch.nan)

    def _differ(self, rewards: torch.Tensor) -> bool:
        total = self.total_rewards(rewards)
        known = total[~total.isnan()]
        return bool(len(known)) and float(known.max()) > float(known.min())

    def _rewards(self, groups: Sequence[PromptGroup]) -> torch.Tensor:
        """As `_calculate_rewards` returns them: those of all processes, in their order."""
        gathered: torch.Tensor = self.accelerator.gather(torch.cat([group.rewards for group in groups]))
        return gathered

    def _other_rows(self) -> Any:
        """Rows of the training set in a random order, for ever."""
        rng = random.Random(f"{self.args.seed} {self.state.global_step} {self.accelerator.process_index}")
        count = len(self.train_dataset)
        while True:
            for number in rng.sample(range(count), count):
                yield self.train_dataset[number]

    def _most(self, number: int) -> float:
        return float(self.accelerator.gather(torch.tensor([float(number)], device=self.accelerator.device)).max())


def _joined(rollouts: Sequence[Rollouts], places: Sequence[slice]) -> Rollouts:
    """The entries of some groups as `_generate` would have returned them."""
    fields = []
    for parts in zip(*rollouts, strict=True):
        if isinstance(parts[0], list) and parts[0]:
            fields.append([entry for part, at in zip(parts, places, strict=True) for entry in part[at]])
        else:
            fields.append(parts[0])
    return tuple(fields)
