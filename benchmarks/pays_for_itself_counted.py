"""The proof by counted work: tokens of every run times unit prices from one calibration, with the measured seconds beside them.

    python benchmarks/pays_for_itself_counted.py proof                # calibrates once (proof/prices.json), then prints the table
    python benchmarks/pays_for_itself_counted.py proof --calibrate    # measures the prices again

The same run repeated gives the same tokens and other processor seconds, so ratios are taken from tokens: of prompts that were read to
sample, of responses that were sampled, and of prompts and responses that went through the backward pass.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from pays_for_itself_tables import accuracy, best_accuracy, group, interval, needs_image, read_runs, with_width

Prices = Mapping[str, float]
REPEATS = 3


def calibrate() -> dict[str, float]:
    """Processor seconds of a prompt token, a sampled token and a back-propagated one: the least of a few measurements."""
    import digit_rl as rl
    import torch
    from digit_problems import make_problems

    from rap_plugin.demo import MODEL_DIR

    torch.set_num_threads(1)
    model, processor = rl.load_policy(str(MODEL_DIR))
    pool = rl.exercises(make_problems(64, "train", 99), model, processor)
    prompts = sum(exercise.prompt.length for exercise in pool)
    found: dict[str, list[float]] = {"prompt": [], "sampled": [], "learned": []}
    whole = rl.MAX_NEW_TOKENS
    for repeat in range(REPEATS + 1):
        seeds = [[repeat * 1000 + at] for at in range(len(pool))]
        began = time.process_time()
        rl.MAX_NEW_TOKENS = 1
        rl.respond(model, pool, seeds)
        rl.MAX_NEW_TOKENS = whole
        read = time.process_time() - began
        began = time.process_time()
        drawn = rl.respond(model, pool, seeds)
        sampled = time.process_time() - began
        rows = [(exercise, said[0], 1.0) for exercise, said in zip(pool, drawn, strict=True)]
        tokens = sum(len(row.token_ids) for _, row, _ in rows)
        began = time.process_time()
        rl.policy_loss(model, rows, tokens).backward()
        learned = time.process_time() - began
        if repeat:  # the first one warms up
            found["prompt"].append(read / prompts)
            found["sampled"].append(max(sampled - read, 0.0) / tokens)
            found["learned"].append(learned / (prompts + tokens))
    return {name: min(values) for name, values in found.items()}


def counted(spent: Mapping[str, float], prices: Prices) -> float:
    """Priced work of training up to a point."""
    return (
        spent["prompt_tokens"] * prices["prompt"]
        + spent["sampled_tokens"] * prices["sampled"]
        + (spent["learned_tokens"] + spent["learned_prompt_tokens"]) * prices["learned"]
    )


def counted_selection(selection: Mapping[str, float], prices: Prices) -> float:
    """Priced work of scoring."""
    return selection["prompt_tokens"] * prices["prompt"] + selection["response_tokens"] * prices["sampled"]


def cost_until(result: Mapping[str, Any], accuracy: float, prices: Prices) -> float | None:
    """Priced work, scoring included, until validation first reaches an accuracy; None where it never does."""
    reached = next((point for point in result["curve"] if point["accuracy"] >= accuracy), None)
    return None if reached is None else counted_selection(result["selection"], prices) + counted(reached, prices)


def area(result: Mapping[str, Any], budget: float, prices: Prices) -> float:
    """Mean validation accuracy over cost from 0 to `budget`, scoring included: the best so far counts on."""
    base = counted_selection(result["selection"], prices)
    costs = np.array([base + counted(point, prices) for point in result["curve"]])
    best = np.maximum.accumulate([point["accuracy"] for point in result["curve"]])
    grid = np.linspace(0, budget, 400)
    at = np.searchsorted(costs, grid, side="right") - 1
    return float(np.where(at < 0, best[0], best[np.maximum(at, 0)]).mean())


def table(runs: Mapping[str, list[dict[str, Any]]], prices: Prices) -> list[str]:
    """Markdown lines; everything is paired with the full pool's run of the same seed."""
    full = {result["seed"]: result for result in runs["full"]}
    lines = [
        "| arm | seeds | test, % | those that need the image | informative groups | counted cost, s | of the full pool's | until the full pool's best validation, of its "
        "cost | area under accuracy, points above full | seconds as measured |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for arm, results in runs.items():
        results = [result for result in results if result["seed"] in full and "prompt_tokens" in result["stopped"]]
        if not results:
            continue
        costs, ratios, until, areas = [], [], [], []
        for result in results:
            other = full[result["seed"]]
            whole = counted(other["stopped"], prices)
            costs.append(counted_selection(result["selection"], prices) + counted(result["stopped"], prices))
            ratios.append(costs[-1] / whole)
            best = best_accuracy(other)
            reached, own = cost_until(result, best, prices), cost_until(other, best, prices)
            until.append(None if reached is None or not own else reached / own)
            areas.append(100 * (area(result, whole, prices) - area(other, whole, prices)))
        seconds = [result["selection"]["seconds"] + result["stopped"]["seconds"] for result in results]
        informative = np.mean([np.mean(result["informative"]) for result in results])
        known = [value for value in until if value is not None]
        reach = f"{np.mean(known):.0%} ({len(known)}/{len(until)})" if known else f"- (0/{len(until)})"
        lines.append(
            f"| `{arm}` | {len(results)} | {with_width(*interval([accuracy(result) for result in results]))} | {with_width(*interval([needs_image(result) for result in results]))} | {informative:.0%} | "
            f"{np.mean(costs):.0f} | {np.mean(ratios):.0%} | {reach} | {with_width(*interval(areas), factor=1)} | {np.mean(seconds):.0f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="folder of pays_for_itself.py")
    parser.add_argument("--calibrate", action="store_true", help="measure the prices again")
    parser.add_argument("--algorithm", choices=("grpo", "rloo"), default="grpo")
    args = parser.parse_args()
    path = args.out / "prices.json"
    if args.calibrate or not path.exists():
        path.write_text(json.dumps(calibrate(), indent=1) + "\n", encoding="utf-8")
    prices = json.loads(path.read_text())
    print(", ".join(f"{name} token {1e6 * price:.0f} us" for name, price in prices.items()))
    runs = group(read_runs(args.out), args.algorithm)
    if "full" not in runs:
        raise SystemExit(f"{args.out}: no run of the arm full, which the others are held against")
    print("\n".join(table(runs, prices)))


if __name__ == "__main__":
    main()
