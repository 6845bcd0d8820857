"""All six recipes of the modality gap on drawn diagrams, end to end with TRL on a CPU: accuracy in words, in images, and the gap.

    python benchmarks/modality_gap.py --out proof-gap                       # six recipes, three seeds
    python benchmarks/modality_gap.py --out proof-gap --table               # the table alone, of what is there

The small model of the drawn diagrams is trained by `rap modality-gap train`'s own code on 600 drawn problems, and sampled on 150
others: four responses to each in both conditions at temperature 0.6, renderings in turn. Stopped at any moment, the same line
goes on. `--workers 3` trains three seeds at a time. Intervals are 95 % percentiles of a bootstrap over seeds, and over problems
within each, text and image paired by problem.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from rap_plugin.modality_gap import MODEL_DIR, Diagram, make_pool
from rap_plugin.modality_gap.recipes import RECIPES, with_changes
from rap_plugin.modality_gap.reward import grade_responses
from rap_plugin.trl_hooks.modality_gap import TrainingRun, train

TRAIN, TEST = 1, 2
"""Seeds of the pools."""
NEEDED_GAP = 0.15
"""A base whose gap is smaller makes the pool no test."""
DRAWS = 4000


def settings(args: argparse.Namespace) -> list[str]:
    """The published recipes at the size of the small model; curricula start from the last step of the recipe before."""
    return [
        f"steps={args.steps}",
        f"save_every={max(1, args.steps // 3)}",
        f"training.prompts={args.prompts}",
        f"training.mini_batch={args.prompts}",
        f"training.rollouts={args.rollouts}",
        f"training.learning_rate={args.learning_rate}",
        "training.max_response_tokens=64",
        "training.overlong_buffer=16",
        "training.sampling_rounds=2",
        "trl.logging_steps=1",
        "trl.disable_tqdm=true",
    ]


def write_pairs(path: Path, count: int) -> None:
    """The training pool as pairs, each problem in one of the renderings, in turn."""
    rows = []
    for number, one in enumerate(make_pool(count, seed=TRAIN)):
        png = list(one.images.values())[number % len(one.images)]
        rows.append(
            {
                "text": one.text_prompt,
                "image": one.image_prompt,
                "images": [{"bytes": png, "path": None}],
                "answer": one.answer,
            }
        )
    partial = path.with_suffix(".partial")
    pq.write_table(pa.Table.from_pylist(rows), partial)
    partial.rename(path)


def evaluate(folder: str, problems: Sequence[Diagram], repeats: int, seed: int) -> list[dict[str, Any]]:
    """How often each problem is right in each condition, and how long its responses are."""
    from digit_rl import load_policy, text_of
    from PIL import Image

    from rap_plugin.engines.hf import decoding
    from rap_plugin.engines.hf.chat import prepare
    from rap_plugin.rollout import Prompt

    model, processor = load_policy(folder)
    out = []
    for condition in ("text", "image"):
        asked = []
        for number, one in enumerate(problems):
            rendering = list(one.images)[number % len(one.images)]
            picture = Image.open(io.BytesIO(one.images[rendering])).convert("RGB")
            said = one.text_prompt if condition == "text" else one.image_prompt
            prompt = prepare(Prompt(one.id, "image", f"<image>{said}", (picture,)), processor, model.network)
            asked.append((number, rendering, prompt))
        asked.sort(key=lambda entry: entry[2].length)
        for start in range(0, len(asked), 50):
            some = asked[start : start + 50]
            rows = decoding.sample_batch(
                model,
                [(p, [seed * 1_000_003 + n * repeats + i for i in range(repeats)]) for n, _, p in some],
                temperature=0.6,
                top_p=1.0,
                max_new_tokens=64,
                measure=False,
            )
            for (number, rendering, _), group in zip(some, rows, strict=True):
                one = problems[number]
                grades = grade_responses([text_of(row, processor) for row in group], [one.answer] * repeats)
                out.append(
                    {
                        "problem": one.id,
                        "kind": one.kind,
                        "rendering": rendering,
                        "condition": condition,
                        "right": [grade.verdict == "right" for grade in grades],
                        "answers": [grade.extracted or None for grade in grades],
                        "tokens": [len(row.token_ids) for row in group],
                    }
                )
    return out


def result_file(out: Path, name: str, seed: int) -> Path:
    """As `rap modality-gap report` finds it."""
    return out / "results" / name / f"seed-{seed}" / "gap.jsonl"


def write(path: Path, records: Sequence[dict[str, Any]], **common: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text("".join(json.dumps({**common, **one}) + "\n" for one in records), encoding="utf-8")
    partial.rename(path)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rates(records: Sequence[dict[str, Any]]) -> np.ndarray:
    """(2, problems): the share of right responses in words and in images, in one order of the problems."""
    problems = sorted({one["problem"] for one in records})
    found = np.full((2, len(problems)), np.nan)
    for one in records:
        found[("text", "image").index(one["condition"]), problems.index(one["problem"])] = np.mean(one["right"])
    return found


def with_interval(values: np.ndarray, draws: int = DRAWS) -> tuple[float, float, float]:
    """(seeds, problems) -> their mean and its interval: seeds drawn with replacement, and problems within each."""
    rng = np.random.default_rng(0)
    seeds, problems = values.shape
    means = []
    for _ in range(draws):
        at = rng.integers(0, seeds, seeds)
        means.append(values[at[:, None], rng.integers(0, problems, (seeds, problems))].mean())
    low, high = np.percentile(means, [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def table(out: Path) -> str:
    """Markdown of what is there."""
    lines = [
        "| recipe | seeds | steps in all | text | image | gap | gap against the base | tokens, text / image |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    base: dict[int, np.ndarray] = {}
    for name in ("base", *RECIPES):
        held = [read(path) for path in sorted((out / "results" / name).glob("seed-*/gap.jsonl"))]
        if not held:
            continue
        both = np.stack([rates(records) for records in held])
        cells = [shown(*with_interval(part)) for part in (both[:, 0], both[:, 1], both[:, 0] - both[:, 1])]
        seeds = [records[0]["seed"] for records in held]
        base = base or dict(zip(seeds, both, strict=True))
        if name != "base" and set(seeds) <= set(base):
            change = both - np.stack([base[seed] for seed in seeds])
            change = change[:, 0] - change[:, 1]
            cells.append(shown(*with_interval(change)))
        else:
            cells.append("")
        tokens = [
            np.mean([n for records in held for one in records if one["condition"] == c for n in one["tokens"]])
            for c in ("text", "image")
        ]
        lines.append(
            f"| {name} | {len(held)} | {held[0][0]['step']} | {' | '.join(cells)} | {tokens[0]:.0f} / {tokens[1]:.0f} |"
        )
    return "\n".join(lines)


def shown(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default=str(MODEL_DIR))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--rollouts", type=int, default=6)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--train", type=int, default=600, help="problems to train on")
    parser.add_argument("--test", type=int, default=150, help="problems to measure on")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="print the table and stop")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if not args.table:
        torch.set_num_threads(1)
        if not (args.out / "pairs.parquet").is_file():
            write_pairs(args.out / "pairs.parquet", args.train)
        if args.workers > 1 and len(args.seeds) > 1:
            in_processes(args)
        else:
            for seed in args.seeds:
                measure_base(args, seed)
                run_seed(args, seed)
    print(table(args.out))


def measure_base(args: argparse.Namespace, seed: int) -> None:
    """The base's own measure. Stops where its gap is too small to be a test."""
    path = result_file(args.out, "base", seed)
    if not path.is_file():
        write(path, evaluate(args.model, test_pool(args), args.repeats, seed), recipe="base", seed=seed, step=0)
    text, image = rates(read(path)).mean(axis=1)
    print(f"base (seed {seed}): text {text:.3f}, image {image:.3f}, gap {text - image:.3f}", flush=True)
    if text - image < NEEDED_GAP:
        sys.exit(f"the base's gap is {text - image:.3f}, below {NEEDED_GAP}: this pool is no test of it")


def test_pool(args: argparse.Namespace) -> list[Diagram]:
    """Problems that differ from each other and from those that are trained on."""
    known = {one.id for one in make_pool(args.train, seed=TRAIN, renderings=())}
    fresh = {one.id: one for one in make_pool(2 * args.test, seed=TEST) if one.id not in known}
    return list(fresh.values())[: args.test]


def run_seed(args: argparse.Namespace, seed: int) -> None:
    problems = test_pool(args)
    run = TrainingRun(args.out / "pairs.parquet", args.model, args.out / "training", seed, args.prompts * args.rollouts)
    for name in args.recipes:
        path = result_file(args.out, name, seed)
        if path.is_file():
            continue
        changes = settings(args) + ([f"start_step={args.steps}"] if RECIPES[name].start else [])
        recipe, known = with_changes(RECIPES[name], changes)
        began = time.process_time()
        final = train(recipe, run, known)
        trained = time.process_time() - began
        records = evaluate(str(final), problems, args.repeats, seed)
        write(path, records, recipe=name, seed=seed, step=args.steps * (2 if recipe.start else 1))
        text, image = rates(records).mean(axis=1)
        print(
            f"{name} (seed {seed}): text {text:.3f}, image {image:.3f}, gap {text - image:.3f}, {trained:.0f} s",
            flush=True,
        )


def in_processes(args: argparse.Namespace) -> None:
    """One process a seed, `workers` at a time, each with one thread."""
    own = list(sys.argv[1:])
    if "--seeds" in own:
        at = own.index("--seeds")
        del own[at : at + 1 + len(args.seeds)]
    waiting, running = list(args.seeds), []
    while waiting or running:
        while waiting and len(running) < args.workers:
            line = [sys.executable, __file__, *own, "--workers", "1", "--seeds", str(waiting.pop(0))]
            running.append(subprocess.Popen(line, env={**os.environ, "OMP_NUM_THREADS": "1"}))
        if any(one.wait() for one in running[:1]):
            sys.exit("a seed failed; the same line goes on")
        running = [one for one in running if one.poll() is None]


if __name__ == "__main__":
    main()
