"""Does looking pay on scenes that only looking can solve? Direct answering, after SFT and after R-GRPO, over three seeds.

    python benchmarks/region_reasoning.py --out region-reasoning

For every seed the demo model is taught (`scripts/train_region_model.py`) to answer directly (the baseline: the same scenes and steps, the
answer alone), to look (SFT), and goes on from there with R-GRPO. All answer the same held-out scenes, whose digits training has not
shown, at temperature 1 in the region loop; after R-GRPO they do so again with other crops in place of their own.
What is there already is not done again: stop it and go on as you like. Writes results.json and results.md below --out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from train_diagram_model import halve
from train_region_model import direct, mixed, reinforce, supervise

from rap_plugin.config import load_config
from rap_plugin.evaluation.stats import wilson
from rap_plugin.vlm_r3.interventions import INTERVENTIONS
from rap_plugin.vlm_r3.run import run_pool
from rap_plugin.vlm_r3.scenes import make_scenes, pool_rows
from rap_plugin.vlm_r3.study import looks_of_run, study_run

STAGES = ("direct", "sft", "grpo")
ROUNDS = ((1200, 240, 160), (1500, 120, 280))
"""Supervised rounds of every model: scenes, steps of seeing, steps of answering."""
SHOWN = {
    "direct": "direct answering",
    "sft": "looking, after SFT",
    "grpo": "looking, after R-GRPO",
    "own": "its own",
    "blank": "blank",
    "swapped": "another scene's, same place",
    "random": "another place of the scene, same size",
    "none": "none",
}


def train(stage: str, seed: int, args: argparse.Namespace) -> Path:
    """The folder of a model, trained where it is not there yet."""
    folder = args.out / f"{stage}-{seed}"
    done = folder / "trained.json"
    if done.exists():
        return folder
    print(f"-- {stage}, seed {seed}", flush=True)
    log: list[Any] = []
    if stage == "grpo":
        log = reinforce(train("sft", seed, args), folder, seed, args.grpo_steps)
    else:
        taught = None
        for number, (scenes, seeing, steps) in enumerate(args.rounds):
            into = folder if number == len(args.rounds) - 1 else args.out / f"{stage}-{seed}-round-{number}"
            supervise(into, seed, direct if stage == "direct" else mixed, scenes, seeing, steps, taught)
            halve(into)
            taught = into
    if stage == "grpo":
        halve(folder)
    done.write_text(json.dumps({"stage": stage, "seed": seed, "log": log}, default=str), encoding="utf-8")
    return folder


def test_pool(out: Path, count: int) -> Path:
    """The held-out scenes, the same for everything."""
    path = out / f"scenes-{count}.parquet"
    if not path.exists():
        pq.write_table(pa.Table.from_pylist(pool_rows(make_scenes(count, "held_out", seed=77))), path)
    return path


def measure(stage: str, seed: int, model: Path, pool: Path, out: Path) -> dict[str, Any]:
    """Accuracy, looks and, after R-GRPO, what other crops cost."""
    run = out / "runs" / f"{stage}-{seed}"
    config = load_config(
        None,
        {
            "pool.path": str(pool),
            "model.id": str(model),
            "sampling.max_new_tokens": 96,
            "r3.temperature": 1.0,
            "r3.instruction": "",
            "r3.boxes": "evidence_boxes",
        },
    )
    run_pool(config, run, quiet=True)
    found = {"stage": stage, "seed": seed, **looks_of_run(run)}
    if stage == "grpo":
        found["faithfulness"] = study_run(run, INTERVENTIONS, quiet=True).as_dict()
    return found


def tables(results: Sequence[dict[str, Any]]) -> str:
    """Both tables as Markdown."""
    seeds = sorted({one["seed"] for one in results})
    head = ["", *(f"seed {seed}" for seed in seeds), "all"]
    lines = [_line(head), _line(["---"] * len(head))]
    for stage in STAGES:
        rows = {one["seed"]: one for one in results if one["stage"] == stage}
        if not rows:
            continue
        cells = [_share(rows[seed]["accuracy"]) if seed in rows else "-" for seed in seeds]
        lines.append(_line([SHOWN[stage], *cells, _share(_together(one["accuracy"] for one in rows.values()))]))
    studied = {one["seed"]: one["faithfulness"] for one in results if one["stage"] == "grpo"}
    if not studied:
        return "\n".join(lines)
    seeds = sorted(studied)
    head = ["crops", *(f"accuracy, seed {seed}" for seed in seeds), *(f"loss in points, seed {seed}" for seed in seeds)]
    lines += ["", _line(head), _line(["---"] * len(head))]
    own = [_share(studied[seed]["accuracy_own_crops"]) for seed in seeds]
    lines.append(_line([SHOWN["own"], *own, *[""] * len(seeds)]))
    for at, kind in enumerate(INTERVENTIONS):
        rows = [studied[seed]["contrasts"][at] for seed in seeds]
        losses = [
            f"{100 * row['loss']:.0f} ({100 * row['loss_interval'][0]:.0f} to {100 * row['loss_interval'][1]:.0f})"
            for row in rows
        ]
        lines.append(_line([SHOWN[kind], *(_share(row["accuracy"]) for row in rows), *losses]))
    return "\n".join(lines)


def _together(shares: Any) -> dict[str, int]:
    listed = list(shares)
    return {"count": sum(one["count"] for one in listed), "of": sum(one["of"] for one in listed)}


def _share(part: dict[str, Any]) -> str:
    low, high = wilson(part["count"], part["of"])
    return f"{100 * part['count'] / max(1, part['of']):.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--test", type=int, default=300, help="held-out scenes")
    parser.add_argument("--grpo-steps", type=int, default=45)
    parser.add_argument("--short", action="store_true", help="a few steps of everything: does it run?")
    args = parser.parse_args()
    args.rounds = ((40, 2, 2), (40, 2, 2)) if args.short else ROUNDS
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    pool = test_pool(args.out, args.test)
    results: list[dict[str, Any]] = []
    for seed in args.seeds:
        for stage in STAGES:
            results.append(measure(stage, seed, train(stage, seed, args), pool, args.out))
            (args.out / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
            (args.out / "results.md").write_text(tables(results) + "\n", encoding="utf-8")
    print(tables(results))


if __name__ == "__main__":
    main()
