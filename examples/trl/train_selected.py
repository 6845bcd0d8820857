"""GRPO with TRL on a finished selection: epochs, evaluation, checkpoints and logs as a long run needs them.

    rap export RUN --to trl --out RUN/export-trl
    accelerate launch --num_processes 8 examples/trl/train_selected.py --run RUN --model MODEL

Published settings (arXiv 2506.04755): learning rate 1e-6, 5 responses a prompt, rollout batches of 512 prompts, optimizer
steps of 128, k3 KL loss 0.01, temperature 1, responses of at most 2,048 tokens. Started again, it goes on from its last
checkpoint.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.hosts.epochs import EpochPlan, describe_plan


def main() -> None:
    settings = parse()
    plan = EpochPlan(settings.prompts, settings.generations, settings.batch, settings.epochs)
    lines = describe_plan(Path(settings.run), plan, fills=False)
    if settings.dry_run:
        print("\n".join(f"rap: {line}" for line in lines))
        return
    train(settings)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, help="run directory of rap select")
    parser.add_argument("--rows", help="what `rap export RUN --to trl` wrote [RUN/export-trl]")
    parser.add_argument("--model", required=True, help="the model that the run sampled")
    parser.add_argument("--out", required=True, help="checkpoints and logs")
    parser.add_argument("--epochs", type=int, default=15, help="passes over the selected rows (EasyR1's default)")
    parser.add_argument("--prompts", type=int, default=512, help="prompts of a rollout batch")
    parser.add_argument("--batch", type=int, default=128, help="prompts of an optimizer step")
    parser.add_argument("--generations", type=int, default=5, help="responses per prompt")
    parser.add_argument("--per-device", type=int, default=4, help="responses that a process trains on at a time")
    parser.add_argument("--tokens", type=int, default=2048, help="longest response")
    parser.add_argument("--learning-rate", type=float, default=1e-6)
    parser.add_argument("--beta", type=float, default=0.01, help="of the k3 KL loss")
    parser.add_argument("--every", type=int, default=5, help="rollout batches between checkpoints and evaluations")
    parser.add_argument("--eval", help="rows to evaluate on, as --rows")
    parser.add_argument("--report-to", default="tensorboard", help="tensorboard, wandb, mlflow, ..")
    parser.add_argument("--vllm", action="store_true", help="sample with vLLM, on the training's GPUs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dry-run", action="store_true", help="print optimizer steps, rollout batches and responses")
    return parser.parse_args()


def train(settings: argparse.Namespace) -> None:
    """Trains to the end, from the last checkpoint where there is one."""
    import datasets
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from transformers.trainer_utils import get_last_checkpoint
    from trl import GRPOTrainer

    from rap_plugin.trl_hooks import log_selection, make_reward

    rows = settings.rows or Path(settings.run) / "export-trl"
    last = get_last_checkpoint(settings.out) if Path(settings.out).is_dir() else None
    # From the checkpoint, where there is one: Trainer itself passes over weights that were saved under other names.
    model = AutoModelForImageTextToText.from_pretrained(last or settings.model, dtype="auto")
    model.config._name_or_path = settings.model  # what TRL loads as the reference of the KL
    trainer = GRPOTrainer(
        model=model,
        processing_class=AutoProcessor.from_pretrained(settings.model),
        reward_funcs=[make_reward("auto", answer="solution", format_weight=0.1)],
        args=config(settings),
        train_dataset=datasets.load_from_disk(str(rows)),
        eval_dataset=datasets.load_from_disk(settings.eval) if settings.eval else None,
    )
    if trainer.is_world_process_zero():
        log_selection(trainer, settings.run)
    trainer.train(resume_from_checkpoint=last)
    trainer.save_model(str(Path(settings.out) / "model"))


def config(settings: argparse.Namespace) -> Any:
    """TRL's arguments: rollout batches and optimizer steps in responses, over all processes."""
    import torch
    from accelerate import PartialState
    from trl import GRPOConfig

    processes = PartialState().num_processes
    responses, at_once = settings.batch * settings.generations, settings.per_device * processes
    if responses % at_once:
        raise RapError(
            f"an optimizer step of {settings.batch} prompts x {settings.generations} responses is no multiple of {processes} "
            f"processes x --per-device {settings.per_device}; choose another --per-device"
        )
    if settings.prompts % settings.batch:
        raise RapError(f"--prompts {settings.prompts} is no multiple of --batch {settings.batch}")
    every = settings.every * (settings.prompts // settings.batch)
    cuda = torch.cuda.is_available()
    return GRPOConfig(
        output_dir=settings.out,
        num_train_epochs=settings.epochs,
        num_generations=settings.generations,
        generation_batch_size=settings.prompts * settings.generations,
        per_device_train_batch_size=settings.per_device,
        gradient_accumulation_steps=responses // at_once,
        per_device_eval_batch_size=settings.generations * 2,
        max_completion_length=settings.tokens,
        temperature=1.0,
        top_p=1.0,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant",
        beta=settings.beta,
        loss_type="grpo",
        bf16=cuda,
        use_cpu=not cuda,
        gradient_checkpointing=cuda,
        use_vllm=settings.vllm,
        eval_strategy="steps" if settings.eval else "no",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=3,
        logging_steps=1,
        report_to=settings.report_to,
        seed=settings.seed,
    )


if __name__ == "__main__":
    try:
        main()
    except RapError as error:
        sys.exit(f"rap: {error}")
