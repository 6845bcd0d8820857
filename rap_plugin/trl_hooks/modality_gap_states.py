"""The gap of every state that a training has kept: the base, its checkpoints and its end, in files that the report reads.

OUT/base/seed-N/gap.jsonl and OUT/NAME/seed-N/gap.jsonl. Measured after the training, from the folders that it has left, so that
one that was finished long ago can be measured too; what is measured is not measured again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rap_plugin.config import ModelConfig, PoolConfig
from rap_plugin.modality_gap.measure import State, measure
from rap_plugin.modality_gap.recipes import BASE, RECIPES, GapRecipe, chain_of
from rap_plugin.trl_hooks.modality_gap import FINAL, TrainingRun, updates_per_step, whole_checkpoints


@dataclass(frozen=True)
class Evaluation:
    """On what states are measured, and with what; the protocol is the published one (4 responses at temperature 0.6)."""

    pool: PoolConfig
    engine: str = "hf"
    samples: int = 4
    quiet: bool = False


@dataclass(frozen=True)
class TrainedState:
    """Weights in a folder (or the hub id of the base), and where the report shows them."""

    model: str
    shown: State


def evaluate(
    recipe: GapRecipe, run: TrainingRun, evaluation: Evaluation, known: Mapping[str, GapRecipe] = RECIPES
) -> None:
    """Measures what is there of a recipe and of what it starts from. Only the first of several processes does."""
    if int(os.environ.get("RANK", "0")):
        return
    for state in states_of(recipe, run, known):
        shown = state.shown
        done = measure(
            ModelConfig(id=state.model, engine=evaluation.engine),
            evaluation.pool,
            run.folder(shown.recipe),
            state=shown,
            samples=evaluation.samples,
            max_new_tokens=recipe.training.max_response_tokens,
            quiet=evaluation.quiet,
        )
        if done.sampled:
            run.say(f"{shown.recipe} (seed {shown.seed}), step {shown.step}: measured on {done.problems:,} problems")


def states_of(recipe: GapRecipe, run: TrainingRun, known: Mapping[str, GapRecipe] = RECIPES) -> Iterator[TrainedState]:
    """The base and, of each stage of a chain, what it has kept, oldest first. Steps count from the base on."""
    yield TrainedState(run.model, State(BASE, run.seed, 0))
    chain, before = chain_of(recipe, known), 0
    for stage, later in zip(chain, [*chain[1:], None], strict=True):
        folder, updates = run.folder(stage.name), updates_per_step(stage)
        kept: dict[int, Path] = {number // updates: path for number, path in whole_checkpoints(folder).items()}
        if (folder / FINAL).is_dir():
            kept[stage.steps] = folder / FINAL
        for step, path in sorted(kept.items()):
            yield TrainedState(str(path), State(stage.name, run.seed, before + step))
        before += stage.steps if later is None or later.start_step is None else later.start_step
