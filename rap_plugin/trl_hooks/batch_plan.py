"""How a trainer's arguments make batches that are followed: their size, how far ahead they are read, and when their rewards come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.trl_hooks.options import prompts_per_batch


@dataclass(frozen=True)
class BatchPlan:
    """Batches here are generation batches: prompts that are answered together, and learned from in one step or in several."""

    prompts: int
    """Of a batch."""
    responses: int
    """To each."""
    repeats: int
    """Micro-batches that a batch is learned from in, `num_iterations` times all of it."""
    accumulated: int
    """Micro-batches of an optimizer step."""
    steps: int
    """Optimizer steps of the training."""

    @staticmethod
    def of(args: Any) -> BatchPlan:
        """The plan of a GRPOConfig or RLOOConfig. Raises RapError where its batches cannot be followed."""
        if getattr(args, "max_steps", 0) <= 0:
            raise RapError(
                "following has no epochs: rows come as often as they teach something; set max_steps in the arguments"
            )
        prompts = prompts_per_batch(args)
        if not prompts:
            raise RapError(
                "the arguments name no generation_batch_size and num_generations; give GRPOConfig or RLOOConfig"
            )
        if args.dataloader_num_workers:
            raise RapError("data loader workers read rows before their rewards are known; set dataloader_num_workers=0")
        repeats = getattr(args, "num_iterations", 1) * args.steps_per_generation
        return BatchPlan(prompts, args.num_generations, repeats, args.gradient_accumulation_steps, args.max_steps)

    @property
    def lag(self) -> int:
        """Batches by which reading is ahead: Trainer reads the micro-batches of a step together, and accelerate one more."""
        return self.accumulated // self.repeats + 1

    def told_after(self, step: int) -> int:
        """Batches whose rewards are known after so many optimizer steps."""
        return -(-step * self.accumulated // self.repeats)

    def inside(self, step: int) -> bool:
        """Whether a training that stops after so many steps has not learned all of its last batch."""
        return step * self.accumulated % self.repeats > 0

    @property
    def batches(self) -> int:
        """Of the whole training."""
        return self.told_after(self.steps)
