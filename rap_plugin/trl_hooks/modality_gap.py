"""The recipes of the modality gap with TRL, on one machine of any size: stages that chain checkpoints and resume.

OUT/NAME/seed-N/ holds a stage: `settings.json` (what it was started with), TRL's checkpoints, `final/` (the weights and the
processor, there only when the stage is done) and `log.json` (TRL's log). A stage that was stopped at any moment goes on from its
last whole checkpoint; a stage that is done is not run again.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError, one_line
from rap_plugin.modality_gap.recipes import RECIPES, GapRecipe, chain_of
from rap_plugin.trl_hooks.modality_gap_rows import file_hash, find_pairs, read_pairs, rows_of

SETTINGS = "settings.json"
FINAL = "final"
LOG = "log.json"
STATE = "trainer_state.json"


@dataclass(frozen=True)
class TrainingRun:
    """What all stages of a chain share."""

    data: Path
    """Parquet of pairs."""
    model: str
    """Folder or hub id of the base model."""
    out: Path
    seed: int = 0
    per_device: int = 4
    """Most responses that a device reads at once in training."""
    say: Callable[[str], None] = print

    def folder(self, name: str) -> Path:
        return self.out / name / f"seed-{self.seed}"


def train(recipe: GapRecipe, run: TrainingRun, known: Mapping[str, GapRecipe] = RECIPES) -> Path:
    """Trains a recipe and what it starts from, as far as it is not done; returns the folder with the final weights.

    Raises RapError where the output folder holds the same recipe with other settings.
    """
    chain = chain_of(recipe, known)
    for earlier, stage in zip([None, *chain[:-1]], chain, strict=True):
        _train_stage(stage, run, _start(stage, earlier, run))
    return run.folder(recipe.name) / FINAL


def _start(stage: GapRecipe, earlier: GapRecipe | None, run: TrainingRun) -> str:
    """The weights that a stage starts from: the base model, a checkpoint, or the end of the stage before."""
    if earlier is None:
        return run.model
    folder = run.folder(earlier.name)
    if stage.start_step is None or stage.start_step == earlier.steps:
        return str(folder / FINAL)
    return str(folder / f"checkpoint-{stage.start_step * updates_per_step(earlier)}")


def updates_per_step(recipe: GapRecipe) -> int:
    """Optimiser steps, which TRL counts, of one batch of rollouts, which recipes count."""
    return recipe.training.prompts // recipe.training.mini_batch


def _train_stage(recipe: GapRecipe, run: TrainingRun, start: str) -> None:
    folder = run.folder(recipe.name)
    data = find_pairs(run.data)
    settings = {
        "recipe": recipe.model_dump(),
        "start": start if recipe.start is None else str(Path(start).relative_to(run.out)),
        "seed": run.seed,
        "data": file_hash(data),
    }
    keep_settings(folder / SETTINGS, settings)
    if (folder / FINAL).is_dir():
        run.say(f"{recipe.name} (seed {run.seed}): done before")
        return
    checkpoint = last_checkpoint(folder)
    # From the checkpoint, where there is one: Trainer itself passes over weights that were saved under other names.
    trainer = make_trainer(recipe, data, str(checkpoint or start), folder, run)
    main = trainer.is_world_process_zero()
    if main:
        at = f"from {checkpoint.name}" if checkpoint else f"from {start}"
        run.say(f"{recipe.name} (seed {run.seed}): {recipe.steps} steps {at}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    partial = folder / f"{FINAL}.partial"
    trainer.save_model(str(partial))
    if main:
        trainer.processing_class.save_pretrained(partial)
        (folder / LOG).write_text(json.dumps(trainer.state.log_history, indent=1), encoding="utf-8")
        if (folder / FINAL).is_dir():
            shutil.rmtree(folder / FINAL)
        partial.rename(folder / FINAL)
    trainer.accelerator.wait_for_everyone()


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint."""
    found = whole_checkpoints(folder)
    return found[max(found)] if found else None


def whole_checkpoints(folder: Path) -> dict[int, Path]:
    """By optimiser step, the checkpoints that were written to their end: Trainer writes its state last."""
    return {
        int(number[1]): path
        for path in folder.glob("checkpoint-*")
        if (number := re.fullmatch(r"checkpoint-(\d+)", path.name)) and _whole(path / STATE)
    }


def _whole(state: Path) -> bool:
    try:
        return bool(json.loads(state.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False


def keep_settings(path: Path, settings: dict[str, Any]) -> None:
    """Writes the settings once; raises RapError where others are there."""
    text = json.dumps(settings, indent=1, sort_keys=True)
    if path.is_file():
        try:
            before = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise RapError(
                f"{path} cannot be read ({one_line(error, 100)}); give another --out, or remove the folder"
            ) from None
        other = sorted(name for name in settings if before.get(name) != json.loads(text)[name])
        if other:
            raise RapError(
                f"{path.parent} was trained with another {other[0]}; give another --out, or remove the folder"
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all: a training that is killed here goes on, and its other processes may be reading.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def make_trainer(recipe: GapRecipe, data: Path, start: str, folder: Path, run: TrainingRun) -> Any:
    """The trainer of one stage."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor, PrinterCallback
    from trl import GRPOConfig
    from trl.rewards import get_soft_overlong_punishment

    from rap_plugin.trl_hooks.contrastive_trainer import ContrastiveGRPOTrainer
    from rap_plugin.trl_hooks.rewards import modality_gap_reward

    cuda = torch.cuda.is_available()
    count = devices()
    args = trl_config(GRPOConfig, arguments(recipe, folder, run.seed, count, run.per_device, cuda), recipe.trl)
    rewards: list[Any] = [modality_gap_reward(recipe.tolerance, answer="answer")]
    if recipe.training.overlong_buffer and recipe.training.overlong_factor:
        longest, buffer = recipe.training.max_response_tokens, recipe.training.overlong_buffer
        rewards.append(get_soft_overlong_punishment(longest, buffer))
        args.reward_weights = [1.0, recipe.training.overlong_factor]
    loss = recipe.contrastive.loss() if recipe.contrastive else None
    rows = rows_of(read_pairs(data), recipe.condition, loss.sampled_by if loss else "teacher")
    if len(rows) < recipe.training.prompts:
        raise RapError(
            f"{data}: {len(rows)} rows do not fill one step of {recipe.training.prompts} prompts; set training.prompts"
        )
    try:
        model = AutoModelForImageTextToText.from_pretrained(start, dtype=torch.bfloat16 if cuda else torch.float32)
        processor = AutoProcessor.from_pretrained(start)
    except (OSError, ValueError) as error:
        raise RapError(f"{start}: no vision-language model that can be loaded ({one_line(error, 200)})") from None
    trainer = ContrastiveGRPOTrainer(
        model=model,
        processing_class=processor,
        args=args,
        train_dataset=rows,
        reward_funcs=rewards,
        contrastive=loss,
        max_rounds=recipe.training.sampling_rounds,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def arguments(
    recipe: GapRecipe, folder: Path, seed: int, devices: int = 1, per_device: int = 4, cuda: bool = False
) -> dict[str, Any]:
    """GRPOConfig's fields: as many micro-batches as make the recipe's batches on these devices.

    Raises RapError where prompts or mini-batch cannot be shared evenly by the devices.
    """
    training = recipe.training
    if training.mini_batch % devices:
        raise RapError(f"training.mini_batch ({training.mini_batch}) cannot be shared by {devices} devices")
    each = training.mini_batch * training.rollouts // devices
    micro = next(size for size in range(min(per_device, each), 0, -1) if each % size == 0)
    updates = updates_per_step(recipe)
    return {
        "output_dir": str(folder),
        "seed": seed,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": "constant",
        "max_steps": recipe.steps * updates,
        "save_strategy": "steps",
        "save_steps": recipe.save_every * updates,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": each // micro,
        "steps_per_generation": updates * each // micro,
        "num_generations": training.rollouts,
        "max_completion_length": training.max_response_tokens,
        "temperature": training.temperature,
        "loss_type": "dapo",
        "scale_rewards": "group",
        "beta": 0.0,
        "epsilon": training.clip_low,
        "epsilon_high": training.clip_high,
        "delta": training.dual_clip,
        "logging_steps": updates,
        "report_to": "none",
        "disable_tqdm": not sys.stderr.isatty(),
        "bf16": cuda,
        "use_cpu": not cuda,
        "gradient_checkpointing": cuda,
        **recipe.trl,
    }


def trl_config(kind: Any, fields: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """TRL's configuration of a kind; `given` is what the recipe's section trl says of it. Raises RapError for what it cannot say."""
    known = {one.name for one in dataclasses.fields(kind)}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise RapError(f"trl.{name}: {kind.__name__} has no such field{f'; it has {near[0]}' if near else ''}")
    try:
        return kind(**fields)
    except (TypeError, ValueError, ArithmeticError) as error:
        if not given:
            raise
        raise RapError(f"trl ({', '.join(given)}): {kind.__name__} refuses it: {one_line(error)}") from None


def devices() -> int:
    """Processes of this training, as torchrun and `accelerate launch` tell them."""
    return int(os.environ.get("WORLD_SIZE", "1"))
