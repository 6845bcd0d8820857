"""Tables, figure and raw numbers of `pays_for_itself.py`, from the files of its runs alone.

    python benchmarks/pays_for_itself_tables.py proof docs

Fills the marked part of DOCS/pays_for_itself.md, writes DOCS/images/pays_for_itself.svg and DOCS/pays_for_itself/runs.jsonl.
Intervals are Student's t over seeds, 95 %; differences are paired by seed, p two-sided.
"""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from digit_problems import RECIPES, ROLES
from pays_for_itself import ARMS, MAIN, SECOND

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
LEVELS = (0.84, 0.86, 0.88, 0.90)
"""Validation accuracies whose price is listed."""

Result = dict[str, Any]


def read_runs(folder: Path) -> list[Result]:
    """All finished runs of OUT/runs, or of a runs.jsonl."""
    if folder.is_file():
        return [json.loads(line) for line in folder.read_text().splitlines()]
    return [json.loads(path.read_text()) for path in sorted((folder / "runs").glob("*.json"))]


def group(results: Iterable[Result], algorithm: str) -> dict[str, list[Result]]:
    """Runs of one algorithm by arm, in order of seed."""
    arms: dict[str, list[Result]] = defaultdict(list)
    for result in sorted(results, key=lambda r: r["seed"]):
        if result["algorithm"] == algorithm:
            arms[result["arm"]].append(result)
    return {name: arms[name] for name in ARMS if name in arms}


def accuracy(result: Result, how: str = "sampled", role: str | None = None) -> float:
    """Share of right answers to the test problems, of one role or of all."""
    counts = [c for kind, c in result["test"][how].items() if role in (None, RECIPES[kind].role)]
    return sum(right for right, _ in counts) / sum(asked for _, asked in counts)


def needs_image(result: Result) -> float:
    """Share of right answers to the test problems that need the image."""
    counts = [c for kind, c in result["test"]["sampled"].items() if RECIPES[kind].needs_image]
    return sum(right for right, _ in counts) / sum(asked for _, asked in counts)


def total(result: Result, until: str = "stopped") -> float:
    """Processor seconds of selection and training."""
    return result["selection"]["seconds"] + result[until]["seconds"]


def idle_total(result: Result) -> float:
    """The same if every response went through the backward pass, at this run's own price per token."""
    spent = result["stopped"]
    price = spent["learning_seconds"] / max(1, spent["learned_tokens"])
    return total(result) + price * spent["idle_tokens"]


def price_of(result: Result, level: float) -> float:
    """Processor seconds until validation first reaches `level`, selection included; infinite where it never does."""
    for point in result["curve"]:
        if point["accuracy"] >= level:
            return result["selection"]["seconds"] + point["seconds"]
    return math.inf


def interval(values: Sequence[float]) -> tuple[float, float]:
    """(mean, half width of the 95 % interval); the width is NaN below two values."""
    array = np.asarray(values, float)
    if len(array) < 2:
        return float(array.mean()), math.nan
    return float(array.mean()), float(stats.t.ppf(0.975, len(array) - 1) * array.std(ddof=1) / math.sqrt(len(array)))


def paired(
    left: Sequence[Result], right: Sequence[Result], of: Callable[[Result], float]
) -> tuple[int, float, float, float]:
    """(seeds, mean difference, half width, p) over the seeds that both arms have."""
    by_seed = {r["seed"]: of(r) for r in right}
    pairs = [(of(r), by_seed[r["seed"]]) for r in left if r["seed"] in by_seed]
    mean, half = interval([a - b for a, b in pairs]) if pairs else (math.nan, math.nan)
    p = float(stats.ttest_rel(*zip(*pairs, strict=True)).pvalue) if len(pairs) > 1 else math.nan
    return len(pairs), mean, half, p


def with_width(mean: float, half: float, digits: int = 1, factor: float = 100) -> str:
    around = "" if math.isnan(half) else f" ± {factor * half:.{digits}f}"
    return f"{factor * mean:.{digits}f}{around}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def accuracy_table(arms: dict[str, list[Result]]) -> str:
    """Held-out accuracy by role, percent."""
    rows = []
    for name, runs in arms.items():
        cells = [f"`{name}`", str(len(runs)), f"{np.mean([r['rows'] for r in runs]):,.0f}"]
        cells.append(f"{100 * np.mean([r['needs_image'] for r in runs]):.0f} %")
        cells.append(f"**{with_width(*interval([accuracy(r) for r in runs]))}**")
        cells.append(with_width(*interval([needs_image(r) for r in runs])))
        cells += [with_width(*interval([accuracy(r, role=role) for r in runs])) for role in ROLES]
        cells.append(with_width(*interval([accuracy(r, "greedy") for r in runs])))
        rows.append(cells)
    head = ["arm", "seeds", "rows", "need the image", "all", "all that need the image", *ROLES, "all, greedy"]
    return table(head, rows)


def cost_table(arms: dict[str, list[Result]]) -> str:
    """What was spent until the stopping rule ended the run, means over seeds."""
    full = np.mean([total(r) for r in arms["full"]]) if "full" in arms else math.nan
    full_idle = np.mean([idle_total(r) for r in arms["full"]]) if "full" in arms else math.nan
    rows = []
    for name, runs in arms.items():

        def mean(of: Callable[[Result], float], runs: list[Result] = runs) -> float:
            return float(np.mean([of(r) for r in runs]))

        rows.append([
            f"`{name}`", f"{mean(lambda r: r['best']['step']):.0f}", f"{mean(lambda r: r['stopped']['step']):.0f}",
            f"{100 * mean(lambda r: float(np.mean(r['informative'][:20]))):.0f} %",
            f"{100 * mean(lambda r: float(np.mean(r['informative']))):.0f} %",
            f"{mean(lambda r: r['selection']['response_tokens']) / 1000:.0f}",
            f"{mean(lambda r: r['stopped']['sampled_tokens']) / 1000:.0f}",
            f"{mean(lambda r: r['stopped']['learned_tokens']) / 1000:.0f}",
            f"{mean(lambda r: r['selection']['seconds']):.0f}", f"{mean(lambda r: r['stopped']['seconds']):.0f}",
            f"**{mean(total):.0f}**", f"{mean(total) / full:.2f}", f"{mean(idle_total) / full_idle:.2f}",
        ])  # fmt: skip
    head = [
        "arm", "best step", "steps", "informative, first 20", "informative, all", "selection, k tokens", "sampled, k tokens",
        "learned, k tokens", "selection, s", "training, s", "total, s", "total / full", "the same, every response back-propagated",
    ]  # fmt: skip
    return table(head, rows)


def price_table(arms: dict[str, list[Result]]) -> str:
    """Median price of a validation accuracy, selection included."""
    rows = []
    for name, runs in arms.items():
        cells = [f"`{name}`"]
        for level in LEVELS:
            prices = [price_of(r, level) for r in runs]
            reached = sum(math.isfinite(price) for price in prices)
            middle = float(np.median(prices))
            cells.append((f"{middle:.0f}" if math.isfinite(middle) else "-") + f" ({reached}/{len(prices)})")
        rows.append(cells)
    return table(["arm", *(f"{100 * level:.0f} %" for level in LEVELS)], rows)


def difference_table(arms: dict[str, list[Result]], pairs: Sequence[tuple[str, str]]) -> str:
    """Paired differences of held-out accuracy, percentage points."""
    rows = []
    for left, right in pairs:
        if left not in arms or right not in arms:
            continue
        cells = [f"`{left}` - `{right}`"]
        for of in (accuracy, needs_image):
            seeds, mean, half, p = paired(arms[left], arms[right], of)
            cells.append(f"{with_width(mean, half)} (p = {p:.3f})" if seeds > 1 else with_width(mean, half))
        rows.append([cells[0], str(seeds), *cells[1:]])
    return table(["difference", "seeds", "all, points", "all that need the image, points"], rows)


def kinds_table(arms: dict[str, list[Result]]) -> str:
    """What the arms trained on: rows of each kind, means over seeds."""
    rows = []
    for name, runs in arms.items():
        rows.append([f"`{name}`", *(f"{np.mean([r['kinds'].get(kind, 0) for r in runs]):.0f}" for kind in RECIPES)])
    return table(["arm", *(f"{kind} ({recipe.role})" for kind, recipe in RECIPES.items())], rows)


def goal(arms: dict[str, list[Result]], pool: int) -> str:
    """The goal's three conditions for every RAP arm, met or not."""
    rows = []
    for name in [n for n in arms if n not in ("full", "random")]:
        runs = arms[name]
        share = float(np.mean([r["rows"] for r in runs])) / pool
        _, gain, half, _ = paired(runs, arms["full"], accuracy)
        seeds = {r["seed"] for r in runs}
        both = [r for r in arms["full"] if r["seed"] in seeds]
        ratio = float(np.mean([total(r) for r in runs]) / np.mean([total(r) for r in both]))
        seeds_random, over, over_half, p = paired(runs, arms["random"], accuracy)
        rows.append([
            f"`{name}`", f"{100 * share:.1f} %", f"{with_width(gain, half)} {_met(gain >= 0)}", f"{100 * ratio:.0f} % {_met(ratio <= 0.57)}",
            f"{with_width(over, over_half)}" + (f", p = {p:.3f} {_met(over > 0 and p < 0.05)}" if seeds_random > 1 else ""),
        ])  # fmt: skip
    return table(["arm", "rows", "accuracy - full's, points", "cost / full's", "accuracy - random's, points"], rows)


def _met(yes: bool) -> str:
    return "(met)" if yes else "(not met)"


def figure(arms: dict[str, list[Result]], path: Path) -> None:
    """Validation accuracy against processor seconds, selection included: one line an arm, the mean over its seeds."""
    import altair as alt
    import vl_convert

    points = []
    for name, runs in arms.items():
        if name not in MAIN:
            continue
        by_step: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for r in runs:
            last = r["curve"][-1]
            for step in range(0, max(p["step"] for run in runs for p in run["curve"]) + 1, r["curve"][1]["step"]):
                # A run that has stopped stays where its best weights were.
                point = next((p for p in r["curve"] if p["step"] == step), None)
                if point is None:
                    best = max(p["accuracy"] for p in r["curve"])
                    point = {"seconds": last["seconds"], "accuracy": best}
                by_step[step].append((r["selection"]["seconds"] + point["seconds"], point["accuracy"]))
        points += [
            {
                "arm": name,
                "seconds": float(np.mean([s for s, _ in v])),
                "accuracy": 100 * float(np.mean([a for _, a in v])),
            }
            for v in by_step.values()
        ]
    chart = (
        alt.Chart(alt.Data(values=points))
        .mark_line(point=True)
        .encode(
            x=alt.X("seconds:Q", title="processor seconds, selection included"),
            y=alt.Y("accuracy:Q", title="validation accuracy, %", scale=alt.Scale(zero=False)),
            color=alt.Color("arm:N", sort=list(MAIN), title="trained on"),
            order="seconds:Q",
        )
        .properties(width=640, height=360)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(vl_convert.vegalite_to_svg(chart.to_json()), encoding="utf-8")


def measured(results: Sequence[Result]) -> str:
    """All generated tables as Markdown."""
    grpo, rloo = group(results, "grpo"), group(results, "rloo")
    main = {name: runs for name, runs in grpo.items() if name in MAIN}
    rest = {name: runs for name, runs in grpo.items() if name not in MAIN}
    pool = max(r["rows"] for r in grpo["full"])
    parts = [
        "### The goal", goal(grpo, pool),
        "### Held-out accuracy, percent", accuracy_table(main),
        "### Differences", difference_table(grpo, [
            ("rap_paper", "full"), ("rap_paper", "random"), ("no_ace", "full"), ("no_ace", "random"), ("no_ace", "rap_paper"),
            ("band", "random"), ("limr", "random"), ("rap_released", "random"), ("no_ace", "band")]),
        "### Cost", cost_table(main),
        "### Price of an accuracy, processor seconds (seeds that reached it)", price_table(main),
        "![Validation accuracy against cost](images/pays_for_itself.svg)",
    ]  # fmt: skip
    if rest:
        parts += ["### Ablations", accuracy_table(rest), cost_table({"full": grpo["full"], **rest})]
        parts += [difference_table(grpo, [(name, other) for name in rest for other in ("rap_paper", "random")])]
    if rloo:
        parts += ["### RLOO", accuracy_table(rloo), cost_table(rloo)]
        parts += [difference_table(rloo, [(SECOND[2], "full"), (SECOND[2], "random")])]
    parts += ["### What each arm trained on, rows", kinds_table(grpo)]
    return "\n\n".join(parts)


def write_docs(out: Path, docs: Path) -> None:
    """Fills the marked part of docs/pays_for_itself.md; the figure and the raw numbers go beside it."""
    results = read_runs(out)
    page = docs / "pays_for_itself.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{measured(results)}\n\n{END}{after}", encoding="utf-8")
    figure(group(results, "grpo"), docs / "images" / "pays_for_itself.svg")
    raw = docs / "pays_for_itself" / "runs.jsonl"
    raw.parent.mkdir(exist_ok=True)
    raw.write_text("".join(json.dumps(result, sort_keys=True) + "\n" for result in results), encoding="utf-8")


if __name__ == "__main__":
    write_docs(Path(sys.argv[1]), Path(sys.argv[2]))
