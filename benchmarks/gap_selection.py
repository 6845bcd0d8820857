"""Which samples close the gap fastest: those that the model solves in words and not in the image, a draw by chance, or all.

    python benchmarks/gap_selection.py --out proof-gap-selection            # one recipe, three ways, three seeds
    python benchmarks/gap_selection.py --out proof-gap-selection --table    # the table alone, of what is there

The shipped model of the drawn diagrams, `--pool` problems of the shipped pool. `rap select --selector gap` keeps the `--keep` with the
largest gap; `random` draws as many, others with each seed; `full` is the pool. All are trained for the same number of steps and
measured half-way and at the end on problems that none of them holds, as benchmarks/modality_gap.py does it. Stopped at any moment, the
same line goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from modality_gap import evaluate, rates, read, result_file, settings, shown, with_interval, write

from rap_plugin.config import load_config
from rap_plugin.modality_gap import MODEL_DIR, POOL_DIR, Diagram, make_pool
from rap_plugin.modality_gap.recipes import RECIPES, with_changes
from rap_plugin.pipeline.select import select_run
from rap_plugin.run_dir import files
from rap_plugin.trl_hooks.modality_gap import TrainingRun, train, updates_per_step

WAYS = ("gap", "random", "full")
TEST = 2
"""Seed of the problems that are measured on."""


def pairs_of(args: argparse.Namespace, way: str, seed: int) -> Path:
    """The rows to train on: a Parquet file of the shipped pool's rows, as they are."""
    if way == "gap":
        return select(args)
    path: Path = args.out / (f"random-{seed}.parquet" if way == "random" else "full.parquet")
    if not path.is_file():
        rows = pq.read_table(POOL_DIR / "train.parquet").slice(0, args.pool)
        if way == "random":
            count = pq.read_metadata(select(args)).num_rows
            rows = rows.take(np.sort(np.random.default_rng(seed).choice(len(rows), count, replace=False)))
        pq.write_table(rows, path)
    return path


def select(args: argparse.Namespace) -> Path:
    """`rap select --selector gap` on the pool, once for all seeds."""
    run: Path = args.out / "selection"
    if not (run / files.SELECTED).is_file():
        flags = {
            "pool.path": str(POOL_DIR / "train.parquet"),
            "pool.limit": args.pool,
            "model.id": args.model,
            "prompt.instruction": "",
            "sampling.max_new_tokens": 64,
            "selection.selector": "gap",
            "selection.keep": args.keep,
        }
        began = time.process_time()
        select_run(load_config(flags=flags), run, quiet=True)
        (args.out / "selection.json").write_text(json.dumps({"processor_s": time.process_time() - began}))
    return run / files.SELECTED


def test_pool(args: argparse.Namespace) -> list[Diagram]:
    known = set(pq.read_table(POOL_DIR / "train.parquet", columns=["problem_id"]).column(0).to_pylist())
    fresh = {one.id: one for one in make_pool(2 * args.test, seed=TEST) if one.id not in known}
    return list(fresh.values())[: args.test]


def run_one(args: argparse.Namespace, way: str, seed: int) -> None:
    """Trains one way with one seed, and measures it half-way and at the end."""
    half = args.steps // 2
    paths = {step: result_file(args.out, f"{way}-{step}", seed) for step in (half, args.steps)}
    if all(path.is_file() for path in paths.values()):
        return
    recipe, known = with_changes(RECIPES[args.recipe], [*settings(args), f"save_every={half}"])
    data = pairs_of(args, way, seed)
    run = TrainingRun(data, args.model, args.out / "training" / way, seed, args.prompts * args.rollouts)
    began = time.process_time()
    final = train(recipe, run, known)
    trained = time.process_time() - began
    middle = run.folder(recipe.name) / f"checkpoint-{half * updates_per_step(recipe)}"
    for step, folder in ((half, middle), (args.steps, final)):
        records = evaluate(str(folder), test_pool(args), args.repeats, seed)
        write(paths[step], records, recipe=f"{way}", seed=seed, step=step)
        text, image = rates(records).mean(axis=1)
        print(f"{way} (seed {seed}), step {step}: text {text:.3f}, image {image:.3f}, {trained:.0f} s", flush=True)


def informative(args: argparse.Namespace, way: str) -> str:
    """Over seeds and steps, the share of groups whose rewards differ, and of responses that the loss counts as chosen."""
    logs = sorted((args.out / "training" / way).rglob("log.json"))
    lines: list[dict[str, Any]] = [line for log in logs for line in json.loads(log.read_text()) if "reward" in line]
    cells = []
    for name in ("dynamic_sampling/informative", "contrastive/chosen"):
        values = [line[name] for line in lines if name in line]
        cells.append(f"{100 * float(np.mean(values)):.0f}" if values else "")
    return " | ".join(cells)


def table(args: argparse.Namespace) -> str:
    """Markdown of what is there; differences to the full pool are paired by seed and problem."""
    lines = [
        "| samples | steps | seeds | text | image | gap | gap against the full pool | informative groups | chosen responses |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for step in (args.steps // 2, args.steps):
        held = {way: _held(args.out, f"{way}-{step}") for way in WAYS}
        for way in WAYS:
            if not held[way]:
                continue
            both = np.stack([held[way][seed] for seed in sorted(held[way])])
            cells = [shown(*with_interval(part)) for part in (both[:, 0], both[:, 1], both[:, 0] - both[:, 1])]
            change = ""
            if way != "full" and set(held[way]) <= set(held["full"]):
                full = np.stack([held["full"][seed] for seed in sorted(held[way])])
                difference = both - full
                change = shown(*with_interval(difference[:, 0] - difference[:, 1]))
            lines.append(
                f"| {way} | {step} | {len(both)} | {' | '.join(cells)} | {change} | {informative(args, way)} |"
            )
    return "\n".join(lines)


def _held(out: Path, name: str) -> dict[int, np.ndarray]:
    found = [read(path) for path in sorted((out / "results" / name).glob("seed-*/gap.jsonl"))]
    return {records[0]["seed"]: rates(records) for records in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default=str(MODEL_DIR))
    parser.add_argument("--recipe", default="contrastive_kl", choices=[n for n, r in RECIPES.items() if not r.start])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pool", type=int, default=400, help="problems to choose from")
    parser.add_argument("--keep", type=float, default=0.25)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--rollouts", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--test", type=int, default=60, help="problems to measure on")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--table", action="store_true", help="print the table and stop")
    args = parser.parse_args()
    args.out = args.out.absolute()
    args.out.mkdir(parents=True, exist_ok=True)
    if not args.table:
        torch.set_num_threads(1)
        for seed in args.seeds:
            for way in WAYS:
                run_one(args, way, seed)
    print(table(args))


if __name__ == "__main__":
    sys.exit(main())
