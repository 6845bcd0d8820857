"""`rap r3 train`: SFT on interleaved rows, then R-GRPO, with TRL, on one machine of any size.

OUT/sft/ and OUT/rl/ hold the steps: `settings.json` (what it was started with), TRL's newest checkpoint, `final/` (weights and processor,
there only when the step is done) and `log.json`. A step that was stopped goes on from its checkpoint; one that is done is not run again.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rap_plugin.config import ModelConfig
from rap_plugin.engines.facts import vision_facts
from rap_plugin.engines.pixels import bound_processor
from rap_plugin.errors import RapError, one_line
from rap_plugin.samples.images import image_bytes, image_size
from rap_plugin.samples.sample import ImageProblem
from rap_plugin.trl_hooks.modality_gap import (
    FINAL,
    LOG,
    SETTINGS,
    STATE,
    devices,
    keep_settings,
    last_checkpoint,
    trl_config,
)
from rap_plugin.trl_hooks.modality_gap_rows import file_hash
from rap_plugin.trl_hooks.region_recipe import RegionRecipe, RegionRlConfig, RegionSftConfig
from rap_plugin.trl_hooks.region_sft import SFT_SETTINGS, RegionCollator
from rap_plugin.vlm_r3.coordinates import Scale, frame_of
from rap_plugin.vlm_r3.crops import TRAINING
from rap_plugin.vlm_r3.loop import LoopOptions
from rap_plugin.vlm_r3.settings import instruction

if TYPE_CHECKING:
    from rap_plugin.vlm_r3.reward import Judge

Step = Literal["sft", "rl"]
VISION = {"vision_tower", "visual", "vision_model", "multi_modal_projector", "mlp1", "mm_projector", "connector"}
"""Names of modules that see, in the families that the `hf` engine takes."""


@dataclass(frozen=True)
class RegionTraining:
    """What both steps share."""

    data: Path
    """Folder of `rap r3 build-data`: sft.jsonl, rl.jsonl and their images."""
    model: str
    """Folder or hub id of the base model."""
    out: Path
    seed: int = 0
    per_device: int = 4
    """Most rows or responses that a device reads at once."""
    judge: Judge | None = None
    """Asked about answers that the rules call wrong."""
    say: Callable[[str], None] = print


def train_regions(recipe: RegionRecipe, run: RegionTraining) -> Path:
    """Trains what is not done yet; returns the folder with the final weights.

    Raises RapError for data that is not there, and where OUT holds the same step with other settings.
    """
    start = run.model
    steps: list[tuple[Step, Any]] = [("sft", recipe.sft), ("rl", recipe.rl)]
    for step, part in steps:
        if part is not None:
            start = str(_train_step(step, recipe, run, start))
    return Path(start)


def _train_step(step: Step, recipe: RegionRecipe, run: RegionTraining, start: str) -> Path:
    folder, data = run.out / step, run.data / f"{step}.jsonl"
    if not data.is_file():
        raise RapError(f"{data} is not there; `rap r3 build-data POOL --out {run.data}` writes it")
    own = recipe.model_dump(exclude={"rl" if step == "sft" else "sft"})
    begun = Path(start).relative_to(run.out).as_posix() if Path(start).is_relative_to(run.out) else start
    keep_settings(folder / SETTINGS, {"recipe": own, "start": begun, "seed": run.seed, "data": file_hash(data)})
    if (folder / FINAL).is_dir():
        run.say(f"{step}: done before")
        return folder / FINAL
    checkpoint = last_checkpoint(folder)
    rows = read_rows(data)
    # From the checkpoint, where there is one: Trainer itself passes over weights that were saved under other names.
    weights = str(checkpoint or start)
    trainer = (_sft_trainer if step == "sft" else _rl_trainer)(recipe, run, weights, folder, rows)
    run.say(f"{step}: {len(trainer.train_dataset):,} rows, from {checkpoint.name if checkpoint else start}")
    if checkpoint is None or not _is_last(checkpoint):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    partial = folder / f"{FINAL}.partial"
    trainer.save_model(str(partial))
    if trainer.is_world_process_zero():
        trainer.processing_class.save_pretrained(partial)
        (folder / LOG).write_text(json.dumps(trainer.state.log_history, indent=1), encoding="utf-8")
        shutil.rmtree(folder / FINAL, ignore_errors=True)
        partial.rename(folder / FINAL)
    trainer.accelerator.wait_for_everyone()
    return folder / FINAL


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file. Raises RapError, one line, for a line that is none."""
    rows: list[dict[str, Any]] = []
    # Split at line feeds alone: texts hold other ends of lines.
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RapError(
                f"{path}: line {number:,} is no JSON ({one_line(error, 100)}); write the file anew"
            ) from None
        if not isinstance(row, dict):
            raise RapError(f"{path}: line {number:,} is no row, but {type(row).__name__}")
        rows.append(row)
    if not rows:
        raise RapError(f"{path} has no rows; see refused.jsonl beside it for the reasons")
    return rows


def _is_last(checkpoint: Path) -> bool:
    """Whether all steps were done when it was written: Trainer would do one more."""
    state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    return bool(state["global_step"] >= state["max_steps"])


def _sft_trainer(
    recipe: RegionRecipe, run: RegionTraining, start: str, folder: Path, rows: list[dict[str, Any]]
) -> Any:
    import datasets
    from trl import SFTConfig, SFTTrainer

    part = recipe.sft
    assert part is not None
    model, processor = load(recipe, start, part.max_pixels)
    behind = _behind(recipe, model, processor)
    rows = [
        {**row, "question": f"{asked} {behind}".strip()}
        if isinstance(asked := row.get("question"), str) and asked
        else row
        for row in rows
    ]
    collate = RegionCollator(processor, model, root=run.data, max_tokens=part.max_tokens)
    bad = collate.problems(rows)
    if len(bad) == len(rows):
        raise RapError(f"{run.data / 'sft.jsonl'}: no row can be trained on; the first: {next(iter(bad.values()), '')}")
    if bad:
        number, reason = next(iter(bad.items()))
        run.say(f"sft: {len(bad):,} rows cannot be trained on and are left out; row {number}: {reason}")
    kept = [row for number, row in enumerate(rows) if number not in bad]
    return SFTTrainer(
        model=model,
        args=trl_config(SFTConfig, sft_arguments(recipe, part, run, folder), part.trl),
        train_dataset=datasets.Dataset.from_list(kept),
        data_collator=collate,
        processing_class=processor,
    )


def _rl_trainer(recipe: RegionRecipe, run: RegionTraining, start: str, folder: Path, rows: list[dict[str, Any]]) -> Any:
    import datasets
    from trl import GRPOConfig

    from rap_plugin.trl_hooks.region_rewards import region_reward
    from rap_plugin.trl_hooks.region_trainer import RegionGRPOTrainer, RegionRollouts

    part = recipe.rl
    assert part is not None
    model, processor = load(recipe, start, part.max_pixels)
    behind = _behind(recipe, model, processor)
    asked = datasets.Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": f"{row['question']} {behind}".strip()}],
                "image": str(run.data / row["image_path"]),
                "answer": row["answer"],
                **({"evidence_boxes": row["evidence_boxes"]} if "evidence_boxes" in row else {}),
            }
            for row in _problems_of(rows, run)
        ]
    ).cast_column("image", datasets.Image())
    coordinates: Scale | None = None if recipe.coordinates == "auto" else recipe.coordinates
    loop = LoopOptions(max_segments=part.max_segments, max_new_tokens=part.max_new_tokens, limits=TRAINING)
    return RegionGRPOTrainer(
        model=model,
        processing_class=processor,
        args=trl_config(GRPOConfig, rl_arguments(recipe, part, run, folder), part.trl),
        train_dataset=asked,
        reward_funcs=[region_reward(part.reward, evidence=part.evidence, answer="answer", judge=run.judge)],
        rollouts=RegionRollouts(
            loop=loop,
            coordinates=coordinates,
            max_turn_tokens=part.max_turn_tokens,
            mask_unfinished=part.mask_unfinished,
        ),
    )


def _problems_of(rows: list[dict[str, Any]], run: RegionTraining) -> list[dict[str, Any]]:
    """The rows of rl.jsonl that can be asked. Raises RapError where none can."""
    bad = {number: problem for number, row in enumerate(rows) if (problem := _problem_of(row, run.data))}
    first = next(iter(bad.items()), (0, ""))
    if len(bad) == len(rows):
        raise RapError(f"{run.data / 'rl.jsonl'}: no row can be trained on; the first: {first[1]}")
    if bad:
        run.say(f"rl: {len(bad):,} rows cannot be trained on and are left out; row {first[0]}: {first[1]}")
    return [row for number, row in enumerate(rows) if number not in bad]


def _problem_of(row: dict[str, Any], root: Path) -> str:
    """Why a row of rl.jsonl cannot be asked; empty where it can."""
    for name in ("question", "image_path", "answer"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            return f"{name} is no text, or empty"
    try:
        image_size(image_bytes(row["image_path"], root, allow_urls=False))
    except ImageProblem as problem:
        return f"its image cannot be read ({one_line(problem)})"
    return ""


def sft_arguments(recipe: RegionRecipe, part: RegionSftConfig, run: RegionTraining, folder: Path) -> dict[str, Any]:
    """SFTConfig's fields. Raises RapError where the rows of a step cannot be shared evenly by the devices."""
    micro, micros = _shares("sft.rows", part.rows, run.per_device)
    return {
        **_shared(recipe, run, folder),
        "learning_rate": part.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": part.warmup,  # below 1 it is a share of the steps
        "weight_decay": part.weight_decay,
        "num_train_epochs": part.epochs,
        "max_steps": part.max_steps or -1,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": micros,
        **SFT_SETTINGS,
        **part.trl,
    }


def rl_arguments(recipe: RegionRecipe, part: RegionRlConfig, run: RegionTraining, folder: Path) -> dict[str, Any]:
    """GRPOConfig's fields. Raises RapError where the responses of a step cannot be shared evenly by the devices."""
    micro, micros = _shares("rl.prompts x rl.rollouts", part.prompts * part.rollouts, run.per_device)
    return {
        **_shared(recipe, run, folder),
        "learning_rate": part.learning_rate,
        "lr_scheduler_type": "constant",
        "num_train_epochs": part.epochs,
        "max_steps": part.max_steps or -1,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": micros,
        "steps_per_generation": micros,
        "num_generations": part.rollouts,
        "max_completion_length": part.max_new_tokens,
        "temperature": part.temperature,
        "beta": part.beta,
        "scale_rewards": "group",
        "num_iterations": 1,
        **part.trl,
    }


def _shared(recipe: RegionRecipe, run: RegionTraining, folder: Path) -> dict[str, Any]:
    import torch

    cuda = torch.cuda.is_available()
    return {
        "output_dir": str(folder),
        "seed": run.seed,
        "max_grad_norm": 1.0,
        "save_strategy": "steps",
        "save_steps": recipe.save_every,
        "save_total_limit": 1,
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": not sys.stderr.isatty(),
        "bf16": cuda,
        "use_cpu": not cuda,
        "gradient_checkpointing": cuda,
    }


def _shares(name: str, total: int, per_device: int) -> tuple[int, int]:
    """(rows that a device reads at once, how many such goes make one step) of a step of `total` rows."""
    count = devices()
    if total % count:
        raise RapError(f"{name} ({total}) cannot be shared by {count} devices")
    each = total // count
    micro = next(size for size in range(min(per_device, each), 0, -1) if each % size == 0)
    return micro, each // micro


def load(recipe: RegionRecipe, start: str, max_pixels: int) -> tuple[Any, Any]:
    """(model, processor), the image bounds set, and what is not to be trained frozen. Raises RapError for no such model."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    try:
        model = AutoModelForImageTextToText.from_pretrained(start, dtype=dtype)
        processor = AutoProcessor.from_pretrained(start)
    except (OSError, ValueError) as error:
        raise RapError(f"{start}: no vision-language model that can be loaded ({one_line(error, 200)})") from None
    bounds = ModelConfig(id=start, min_pixels=recipe.min_pixels, max_pixels=max_pixels)
    bound_processor(processor.image_processor, bounds)  # false for processors of one size, which need none
    if not recipe.train_vision:
        seeing = [one for name, one in model.named_parameters() if VISION & set(name.split("."))]
        if not seeing:
            raise RapError(f"{start}: it is not known which of its weights see; set train_vision: true")
        for parameter in seeing:
            parameter.requires_grad_(False)
    return model, processor


def _behind(recipe: RegionRecipe, model: Any, processor: Any) -> str:
    """What stands behind every question."""
    if recipe.instruction is not None:
        return recipe.instruction
    return instruction(frame_of(vision_facts(model.config, processor), recipe.coordinates).scale)
