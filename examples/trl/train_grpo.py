"""Select with RAP, then train with TRL: the embedded 1.75 M-parameter model on questions about handwritten digits.

    python examples/trl/train_grpo.py --algorithm grpo

Problems over the digits that the model was made with are selected from, once. The model is then trained on the selected
rows and, from the start again, on as many random ones, for the same number of steps. Accuracy is measured on problems
over held-out digits. Every number printed is measured in this run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Read when torch is first imported: waiting threads sleep instead of spinning.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import datasets
from digit_problems import ROLES, Problem, make_problems, mix_needing
from rich.console import Console
from rich.table import Table
from transformers import AutoModelForImageTextToText, AutoProcessor, PrinterCallback, TrainerCallback
from transformers.utils import logging
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from rap_plugin.demo import MODEL_DIR
from rap_plugin.errors import RapError
from rap_plugin.trl_hooks import Reselection, accuracy_reward, log_selection, select_dataset

TRAINERS = {"grpo": (GRPOConfig, GRPOTrainer), "rloo": (RLOOConfig, RLOOTrainer)}
GENERATIONS, EVAL_GENERATIONS = 6, 4
TOKENS = 64
"""Longest response: the model's own have about 30."""
NEEDED = 0.19
"""Share of the pool that needs the image; of the held-out problems half do."""
ACE = False
"""The embedded model's attention goes astray on problems that training mends: docs/pays_for_itself.md."""
ACCURACY = "eval_rewards/accuracy_reward/mean"
FEATURES = datasets.Features(
    {
        "prompt": [{"role": datasets.Value("string"), "content": datasets.Value("string")}],
        "image": datasets.Image(),
        "answer": datasets.Value("string"),
        "role": datasets.Value("string"),
    }
)


@dataclass(frozen=True)
class Trained:
    """One training."""

    before: dict[str, float]
    after: dict[str, float]
    seconds_per_step: float


def main() -> None:
    settings = parse()
    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    out = Path(settings.out)
    pool = dataset_of(make_problems(settings.problems, "train", settings.seed, mix_needing(NEEDED)))
    test = dataset_of(make_problems(settings.test, "held_out", settings.seed + 1))

    selected = select_dataset(pool, MODEL_DIR, out=out / "selection", args=config(settings, out / "selected"), ace=ACE)
    if settings.reselect:
        arms: dict[str, Any] = {"selected, and again while training": pool}
    else:
        arms = {"selected": selected}
    if not settings.no_baseline:
        rows = random.Random(settings.seed).sample(range(len(pool)), len(selected))
        arms["random"] = pool.select(sorted(rows))
    trained = {name: train(settings, out, name, rows, test) for name, rows in arms.items()}
    print_accuracy(trained, test)
    print_cost(settings, out / "selection", len(pool), len(selected), trained)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algorithm", choices=sorted(TRAINERS), default="grpo")
    parser.add_argument("--out", default="trl-run", help="evidence and logs; a selection that is there is used again")
    parser.add_argument("--problems", type=int, default=600, help="the pool")
    parser.add_argument("--test", type=int, default=240, help="held-out problems that accuracy is measured on")
    parser.add_argument("--steps", type=int, default=30, help="optimizer steps")
    parser.add_argument("--prompts", type=int, default=24, help=f"prompts a step, {GENERATIONS} responses each")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--reselect", type=int, metavar="STEPS", help="select again every so many steps")
    parser.add_argument("--no-baseline", action="store_true", help="do not train on random rows too")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where the model is trained")
    parser.add_argument("--report-to", default="none", help="where Trainer logs: tensorboard, wandb, trackio, ..")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def dataset_of(problems: list[Problem]) -> datasets.Dataset:
    """Problems as TRL takes them for a vision-language model; `role` says what a selection should make of them."""
    return datasets.Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": problem.question}],
                "image": {"bytes": problem.image, "path": None},
                "answer": problem.answer,
                "role": problem.role,
            }
            for problem in problems
        ],
        features=FEATURES,
    )


def config(settings: argparse.Namespace, out: Path) -> Any:
    """The trainer's arguments; a selection takes its sampling settings from them."""
    return TRAINERS[settings.algorithm][0](
        output_dir=str(out),
        per_device_train_batch_size=settings.prompts * GENERATIONS,
        per_device_eval_batch_size=60 * EVAL_GENERATIONS,
        num_generations=GENERATIONS,
        num_generations_eval=EVAL_GENERATIONS,
        max_completion_length=TOKENS,
        max_steps=settings.steps,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant",
        beta=0.0,
        bf16=False,
        use_cpu=settings.device == "cpu",
        gradient_checkpointing=False,
        logging_steps=max(1, settings.steps // 5),
        report_to=settings.report_to,
        save_strategy="no",
        disable_tqdm=True,
        seed=settings.seed,
    )


def train(settings: argparse.Namespace, out: Path, name: str, rows: Any, test: Any) -> Trained:
    """Trains the embedded model from the start on some rows."""
    model = AutoModelForImageTextToText.from_pretrained(MODEL_DIR)
    processor = AutoProcessor.from_pretrained(MODEL_DIR)
    args = config(settings, out / name.split(",")[0])
    again = None
    if "again" in name:
        again = Reselection(
            rows,
            model,
            out=out / "again",
            every_steps=settings.reselect,
            processing_class=processor,
            args=args,
            quiet=True,
            ace=ACE,
        )
        rows = again.dataset
    trainer = TRAINERS[settings.algorithm][1](
        model=model, reward_funcs=[accuracy_reward], args=args, train_dataset=rows, processing_class=processor
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Progress())
    if again is not None:
        again.attach(trainer)
    elif name == "selected":
        log_selection(trainer, out / "selection")
    print(f"\ntraining on {len(rows)} rows ({name}), {settings.algorithm}, {settings.steps} steps", flush=True)
    before = accuracies(trainer, test)
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    return Trained(before, accuracies(trainer, test), seconds / settings.steps)


class Progress(TrainerCallback):
    """A line now and then."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
        # Trainer puts what waits to be logged into one entry: a selection can come with a step's reward.
        if "rap/selected" in logs:
            print(
                f"  selection at step {state.global_step}: {logs['rap/selected']:.0f} rows, {logs['rap/share']:.0%} of the pool"
            )
        if "reward" in logs:
            print(
                f"  step {state.global_step:>3} of {state.max_steps}: reward {logs['reward']:.2f}, "
                f"groups that teach nothing {logs['frac_reward_zero_std']:.0%}",
                flush=True,
            )


def accuracies(trainer: Any, test: Any) -> dict[str, float]:
    """Share of right responses by role, and over all problems, as the trainer itself evaluates."""
    roles = test["role"][:]
    found = {}
    for role in ROLES:
        numbers = [i for i, known in enumerate(roles) if known == role]
        if numbers:
            trainer.evaluate(test.select(numbers))
            found[role] = next(entry[ACCURACY] for entry in reversed(trainer.state.log_history) if ACCURACY in entry)
    found["all"] = sum(found[role] for role in roles) / len(roles)
    return found


def print_accuracy(trained: dict[str, Trained], test: Any) -> None:
    table = Table(box=None, pad_edge=False, title="accuracy on held-out problems", title_justify="left")
    table.add_column("role")
    table.add_column("responses", justify="right")
    table.add_column("before", justify="right")
    for name in trained:
        table.add_column(f"after: {name}", justify="right")
    roles = test["role"][:]
    first = next(iter(trained.values()))
    for role, before in first.before.items():
        number = EVAL_GENERATIONS * (len(roles) if role == "all" else roles.count(role))
        after = [f"{one.after[role]:.3f}" for one in trained.values()]
        table.add_row(role, str(number), f"{before:.3f}", *after, style="bold" if role == "all" else "")
    console = Console()
    console.print()
    console.print(table)


def print_cost(settings: argparse.Namespace, run: Path, pool: int, selected: int, trained: dict[str, Trained]) -> None:
    """What the selection took, in training steps, and from which length of training on it is less than it saves."""
    total = json.loads((run / "cost.json").read_text(encoding="utf-8"))["total"]
    step = sum(one.seconds_per_step for one in trained.values()) / len(trained)
    seconds = total["seconds"]  # of the ledger: also where the selection was made by an earlier call
    steps = seconds / step
    full, part = pool / settings.prompts, selected / settings.prompts
    print(
        f"\nselection: {total['rollouts']:,} rollouts, {total['response_tokens']:,} response tokens, {seconds:.1f} s\n"
        f"a training step: {settings.prompts * GENERATIONS} responses, {step:.2f} s; the selection cost as much as {steps:.1f} steps"
    )
    print(
        f"an epoch over the pool is {full:.1f} steps, over the selection {part:.1f}: "
        + (
            f"selecting takes less time than it saves from {steps / (full - part):.1f} epochs on"
            if full > part
            else "nothing was left out, so selecting saved nothing"
        )
    )


if __name__ == "__main__":
    try:
        main()
    except RapError as error:
        sys.exit(str(error))
