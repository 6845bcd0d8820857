"""The proof by counted work: tokens of every run times unit prices from one calibration, with the measured seconds beside them.

    python benchmarks/pays_for_itself_counted.py proof                # calibrates once (proof/prices.json), then prints the table
    python benchmarks/pays_for_itself_counted.py proof --calibrate    # measures the prices again
    python benchmarks/pays_for_itself_counted.py goal --docs docs --name goal

The same run repeated gives the same tokens and other processor seconds, so ratios are taken from tokens: of prompts that were read to
sample, of responses that were sampled, and of prompts and responses that went through the backward pass.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from pays_for_itself_arms import ARMS
from pays_for_itself_tables import (
    COST_GOAL,
    LEVELS,
    accuracy,
    best_accuracy,
    group,
    interval,
    needs_image,
    on_image_problems,
    paired,
    read_runs,
    shift_accuracy,
    with_p,
    with_width,
)

Prices = Mapping[str, float]
REPEATS = 3
DRAWN_LEVELS = (0.50, 0.53, 0.56, 0.59)
"""Validation accuracies whose cost is asked for on the pool of diagrams."""
ROLLOUTS = 5
"""Responses of a group, the same in every setting that is counted."""
FOLLOWING = ("half_headroom", "half_follow_success", "follow_success", "follow")
"""The arm that the others are held against: of these the one with the most seeds, the first of several."""
FILTERS = ("dapo", "greso", "speed")
"""Rules that throw away groups without advantage: nobody back-propagates those."""


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


def prices_of(out: Path) -> dict[str, float]:
    """OUT/prices.json; measured when it is not there."""
    path = out / "prices.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(calibrate(), indent=1) + "\n", encoding="utf-8")
    return json.loads(path.read_text())


def counted(spent: Mapping[str, float], prices: Prices) -> float:
    """Priced work of training up to a point."""
    return (
        spent["prompt_tokens"] * prices["prompt"]
        + spent["sampled_tokens"] * prices["sampled"]
        + (spent["learned_tokens"] + spent["learned_prompt_tokens"]) * prices["learned"]
    )


def counted_whole(spent: Mapping[str, float], prices: Prices) -> float:
    """The same where every response is back-propagated with its prompt, also those without advantage: what hosts do unless a filter is on."""
    learned = spent["sampled_tokens"] + ROLLOUTS * spent["prompt_tokens"]
    return counted({**spent, "learned_tokens": learned, "learned_prompt_tokens": 0}, prices)


def counted_selection(selection: Mapping[str, float], prices: Prices) -> float:
    """Priced work of scoring."""
    return selection["prompt_tokens"] * prices["prompt"] + selection["response_tokens"] * prices["sampled"]


@dataclass(frozen=True)
class Budget:
    """Where a run ends that may cost a share of another's."""

    seconds: float
    prices: Prices

    def reached(self, selection: Mapping[str, float], spent: Mapping[str, float]) -> bool:
        """Whether scoring and training up to here have cost it all."""
        return counted_selection(selection, self.prices) + counted(spent, self.prices) >= self.seconds


def budget_of(out: Path, name: str, share: float) -> Budget:
    """A share of what the finished run `name` cost, by OUT/prices.json."""
    prices = prices_of(out)
    path = out / "runs" / f"{name}.json"
    if not path.exists():
        raise SystemExit(f"{path} is missing: the budget is a share of that run's cost; name its arm in --arms too")
    return Budget(share * counted(json.loads(path.read_text())["stopped"], prices), prices)


def cost_until(
    result: Mapping[str, Any], accuracy: float, prices: Prices, train: Callable[..., float] = counted
) -> float | None:
    """Priced work, scoring included, until validation first reaches an accuracy; None where it never does."""
    reached = next((point for point in result["curve"] if point["accuracy"] >= accuracy), None)
    return None if reached is None else counted_selection(result["selection"], prices) + train(reached, prices)


def area(result: Mapping[str, Any], budget: float, prices: Prices, of: str = "accuracy") -> float:
    """Mean validation accuracy over cost from 0 to `budget`, scoring included: the best so far counts on. `of` names the curve."""
    base = counted_selection(result["selection"], prices)
    costs = np.array([base + counted(point, prices) for point in result["curve"]])
    best = np.maximum.accumulate([point[of] for point in result["curve"]])
    grid = np.linspace(0, budget, 400)
    at = np.searchsorted(costs, grid, side="right") - 1
    return float(np.where(at < 0, best[0], best[np.maximum(at, 0)]).mean())


def percent(values: Sequence[float]) -> str:
    """Their mean in percent."""
    return f"{100 * np.mean(values):.0f} %"


def accuracy_at(result: Mapping[str, Any], budget: float, prices: Prices) -> float:
    """The best validation accuracy that was reached at no more than this cost, scoring included."""
    base = counted_selection(result["selection"], prices)
    paid = [point["accuracy"] for point in result["curve"] if base + counted(point, prices) <= budget]
    return float(max(paid, default=result["curve"][0]["accuracy"]))


def goal_table(runs: Mapping[str, list[dict[str, Any]]], prices: Prices) -> list[str]:
    """Markdown lines of the goal: every arm against the full pool's end, and following against every other at equal cost.

    Paired by seed, over the seeds that both have; runs without a budget are compared by validation where they had spent it.
    """
    arm = max(FOLLOWING, key=lambda name: len(runs.get(name, ())))
    whole = {result["seed"]: counted(result["stopped"], prices) for result in runs["full"]}

    def on_the_way(result: Mapping[str, Any]) -> float:
        return area(result, COST_GOAL * whole[result["seed"]], prices, "needs_image")

    def seen(name: str) -> list[dict[str, Any]]:
        """Runs whose validation tells apart what needs the image."""
        return [r for r in runs.get(name, []) if r["seed"] in whole and "needs_image" in r["curve"][0]]

    def at_goal(result: Mapping[str, Any]) -> float:
        return accuracy_at(result, COST_GOAL * whole[result["seed"]], prices)

    lines = [
        "| arm | seeds | counted cost, of the full pool's | test, % | test - full's end, points | validation at 57 % of the full pool's cost - full's end, points | "
        f"needs the image, % | harder shift, % | `{arm}` - this arm where the image is needed, points | the same on the way: validation, mean over all costs up to 57 %, points |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, results in runs.items():
        results = [result for result in results if result["seed"] in whole]
        if not results:
            continue
        spent = [
            (counted_selection(result["selection"], prices) + counted(result["stopped"], prices))
            / whole[result["seed"]]
            for result in results
        ]
        gain = "" if name == "full" else with_p(*paired(results, runs["full"], accuracy))
        ends = {result["seed"]: best_accuracy(result) for result in runs["full"]}
        leads = interval([at_goal(result) - ends[result["seed"]] for result in results])
        shifted = [shift_accuracy(result) for result in results if result.get("shift")]
        ahead = "" if name == arm else with_p(*on_image_problems(runs.get(arm, []), results))
        before = "" if name == arm else with_p(*paired(seen(arm), seen(name), on_the_way))
        lines.append(
            f"| `{name}` | {len(results)} | {percent(spent)} | {with_width(*interval([accuracy(r) for r in results]))} | {gain} | "
            f"{with_width(*leads)} | {with_width(*interval([needs_image(r) for r in results]))} | "
            f"{with_width(*interval(shifted)) if shifted else '-'} | {ahead} | {before} |"
        )
    return lines


def parts_of(result: Mapping[str, Any], prices: Prices) -> dict[str, float]:
    """Counted seconds of a run by what they bought.

    `every response` is the sum where responses without advantage are back-propagated too.
    """
    spent = result["stopped"]
    parts = {
        "scoring": counted_selection(result["selection"], prices),
        "prompts": spent["prompt_tokens"] * prices["prompt"],
        "sampling": spent["sampled_tokens"] * prices["sampled"],
        "learning": (spent["learned_tokens"] + spent["learned_prompt_tokens"]) * prices["learned"],
    }
    parts["sum"] = sum(parts.values())
    parts["every response"] = parts["scoring"] + counted_whole(spent, prices)
    return parts


def parts_table(runs: Mapping[str, list[dict[str, Any]]], prices: Prices) -> list[str]:
    """Markdown lines: where an arm's counted seconds go, means over its runs; ratios to the full pool's of the same seeds."""
    names = ("scoring", "prompts", "sampling", "learning", "sum", "every response")
    lines = [
        "| arm | runs | steps | scoring, s | prompts, s | sampling, s | learning, s | sum, s | of the full pool's | every response back-propagated, of the full pool's |",
        "| --- |" + " --- |" * 9,
    ]
    full = {result["seed"]: parts_of(result, prices) for result in runs["full"]}
    for arm, results in runs.items():
        both = [(parts_of(result, prices), full[result["seed"]]) for result in results if result["seed"] in full]
        if not both:
            continue
        steps = np.mean([result["stopped"]["step"] for result in results if result["seed"] in full])
        means = {name: np.mean([own[name] for own, _ in both]) for name in names}
        ratios = {name: percent([own[name] / other[name] for own, other in both]) for name in ("sum", "every response")}
        filters = ARMS[arm].rule in FILTERS
        cells = [f"{means[name]:.0f}" for name in names[:-1]]
        lines.append(
            f"| `{arm}` | {len(both)} | {steps:.0f} | {' | '.join(cells)} | {ratios['sum']} | {'-' if filters else ratios['every response']} |"
        )
    return lines


def levels_table(runs: Mapping[str, list[dict[str, Any]]], prices: Prices) -> list[str]:
    """Markdown lines: cost until a validation accuracy, of the full pool's until the same, over the seeds in which both reach it; then
    the same where every response is back-propagated."""
    full = {result["seed"]: result for result in runs["full"]}
    levels = DRAWN_LEVELS if "shown" in runs["full"][0]["kinds"] else LEVELS
    lines = [
        "| arm | " + " | ".join(f"{100 * level:.0f} %" for level in levels) + " |",
        "| --- |" + " --- |" * len(levels),
    ]
    for arm, results in runs.items():
        cells = []
        both = [(result, full[result["seed"]]) for result in results if result["seed"] in full]
        for level in levels:
            found = []
            for train in (counted, counted_whole)[: 1 if ARMS[arm].rule in FILTERS else 2]:
                costs = [[cost_until(result, level, prices, train) for result in pair] for pair in both]
                ratios = [own / other for own, other in costs if own is not None and other]
                found.append(percent(ratios) if ratios else "-")
            cells.append(f"{' / '.join(found)} ({len(ratios)}/{len(both)})")
        lines.append(f"| `{arm}` | {' | '.join(cells)} |")
    return lines


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
        reach = f"{percent(known)} ({len(known)}/{len(until)})" if known else f"- (0/{len(until)})"
        lines.append(
            f"| `{arm}` | {len(results)} | {with_width(*interval([accuracy(result) for result in results]))} | {with_width(*interval([needs_image(result) for result in results]))} | {percent([informative])} | "
            f"{np.mean(costs):.0f} | {percent(ratios)} | {reach} | {with_width(*interval(areas), factor=1)} | {np.mean(seconds):.0f} |"
        )
    return lines


def tables(results: Iterable[dict[str, Any]], prices: Prices, algorithm: str = "grpo") -> str:
    """All tables of these runs as Markdown."""
    runs = group(results, algorithm)
    return "\n\n".join("\n".join(lines(runs, prices)) for lines in (table, goal_table, levels_table, parts_table))


def marks(name: str) -> tuple[str, str]:
    """The lines between which a setting's counted tables stand."""
    return f"<!-- counted, {name}: begin -->", f"<!-- counted, {name}: end -->"


def write_docs(out: Path, docs: Path, name: str) -> None:
    """Fills the setting's counted part of DOCS/pays_for_itself.md; raw numbers and prices go to DOCS/pays_for_itself/counted."""
    results, prices = read_runs(out), prices_of(out)
    page, (begin, end) = docs / "pays_for_itself.md", marks(name)
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n\n{tables(results, prices)}\n\n{end}{after}", encoding="utf-8")
    raw = docs / "pays_for_itself" / "counted"
    raw.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(result, sort_keys=True) + "\n" for result in results]
    (raw / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    (raw / "prices.json").write_text(json.dumps(prices, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="folder of pays_for_itself.py")
    parser.add_argument("--calibrate", action="store_true", help="measure the prices again")
    parser.add_argument("--algorithm", choices=("grpo", "rloo"), default="grpo")
    parser.add_argument("--seeds", help="only these seeds, separated by commas; not with --docs")
    parser.add_argument("--docs", type=Path, help="fill the counted part of pays_for_itself.md in this folder")
    parser.add_argument("--name", default="published", help="name of that part")
    args = parser.parse_args()
    if args.docs and args.seeds:
        parser.error("--docs takes all seeds")
    if args.calibrate:
        (args.out / "prices.json").unlink(missing_ok=True)
    prices = prices_of(args.out)
    print(", ".join(f"{name} token {1e6 * price:.0f} us" for name, price in prices.items()))
    results = read_runs(args.out)
    if args.seeds:
        results = [result for result in results if str(result["seed"]) in args.seeds.split(",")]
    if "full" not in group(results, args.algorithm):
        raise SystemExit(f"{args.out}: no run of the arm full, which the others are held against")
    print(tables(results, prices, args.algorithm))
    if args.docs:
        write_docs(args.out, args.docs, args.name)


if __name__ == "__main__":
    main()
