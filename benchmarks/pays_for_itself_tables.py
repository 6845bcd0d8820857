"""Tables, figure and raw numbers of `pays_for_itself.py`, from the files of its runs alone.

    python benchmarks/pays_for_itself_tables.py proof docs published

Fills the part of DOCS/pays_for_itself.md that is marked with the setting's name, writes DOCS/images/pays_for_itself_NAME.svg and the raw
numbers, DOCS/pays_for_itself/NAME.jsonl.
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
from pays_for_itself_arms import ARMS, MAIN, SHARE
from pays_for_itself_diagrams import RECIPES as DIAGRAM_RECIPES


def marks(name: str) -> tuple[str, str]:
    """The lines between which a setting's tables stand."""
    return f"<!-- measured, {name}: begin -->", f"<!-- measured, {name}: end -->"


KINDS = RECIPES | DIAGRAM_RECIPES
"""The kinds of both pools."""
LEVELS = (0.84, 0.87, 0.90, 0.93)
"""Validation accuracies whose price is listed."""
STEPS = (60, 100, 160, 320, 480)
"""Where arms are compared after the same number of steps."""
COST_GOAL = 0.57
"""RAP's 52.8 hours are this share of the full pool's 93.2 (arXiv 2506.04755)."""

Result = dict[str, Any]


def read_runs(folder: Path) -> list[Result]:
    """All finished runs of OUT/runs, or of a file of raw numbers."""
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
    counts = [c for kind, c in result["test"][how].items() if role in (None, KINDS[kind].role)]
    return sum(right for right, _ in counts) / sum(asked for _, asked in counts)


def needs_image(result: Result) -> float:
    """Share of right answers to the test problems that need the image."""
    counts = [c for kind, c in result["test"]["sampled"].items() if KINDS[kind].needs_image]
    return sum(right for right, _ in counts) / sum(asked for _, asked in counts)


def shift_accuracy(result: Result) -> float:
    """Share of right answers to the harder shift's problems."""
    counts = result["shift"].values()
    return sum(right for right, _ in counts) / sum(asked for _, asked in counts)


def on_image_problems(left: Sequence[Result], right: Sequence[Result]) -> tuple[int, float, float, float]:
    """`paired` over all problems that need the image: the test's, and the harder shift's where every run has met them."""
    shifted = all(result.get("shift") for result in (*left, *right))

    def share(result: Result) -> float:
        counts = [c for kind, c in result["test"]["sampled"].items() if KINDS[kind].needs_image]
        counts += result["shift"].values() if shifted else ()
        return sum(good for good, _ in counts) / sum(asked for _, asked in counts)

    return paired(left, right, share)


def spent(result: Result, point: dict[str, Any], every_response: bool = False) -> float:
    """Processor seconds of selection and training up to `point`.

    With `every_response` as if responses without advantage were back-propagated too, at this run's own price per
    token: what OpenRLHF, TRL and verl do unless a filter is switched on.
    """
    seconds = point["sampling_seconds"] + point["learning_seconds"]
    if every_response:
        whole = result["stopped"]
        seconds += point["idle_tokens"] * whole["learning_seconds"] / max(1, whole["learned_tokens"])
    return result["selection"]["seconds"] + seconds


def reached(result: Result, level: float) -> dict[str, Any] | None:
    """The first point of the validation curve at or above `level`."""
    return next((point for point in result["curve"] if point["accuracy"] >= level), None)


def best_accuracy(result: Result) -> float:
    return max(point["accuracy"] for point in result["curve"])


def point_at(result: Result, step: int) -> dict[str, Any]:
    """The validation curve at `step`; a run that has stopped stays where its best weights were."""
    found = next((point for point in result["curve"] if point["step"] == step), None)
    return found or {**result["curve"][-1], "accuracy": best_accuracy(result)}


def catch_up(result: Result, full: Result, every_response: bool) -> float:
    """Cost until the best validation accuracy of the full pool's run is reached, as a share of that run's; infinite if never.

    Infinite too where the full pool's run never got better than the base model, which costs nothing.
    """
    level = best_accuracy(full)
    point, own = reached(result, level), reached(full, level)
    if point is None or own is None or own["step"] == 0:
        return math.inf
    return spent(result, point, every_response) / spent(full, own, every_response)


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


def with_p(seeds: int, mean: float, half: float, p: float) -> str:
    """A paired difference in points, with its interval and p where there are two seeds."""
    if not seeds:
        return "-"
    return f"{with_width(mean, half)} ({_p(p)})" if seeds > 1 else with_width(mean, half)


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


def share(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def cost_table(arms: dict[str, list[Result]]) -> str:
    """What was spent until the stopping rule ended the run, means over seeds."""
    rows = []
    for name, runs in arms.items():

        def mean(of: Callable[[Result], float], runs: list[Result] = runs) -> float:
            return float(np.mean([of(r) for r in runs]))

        rows.append([
            f"`{name}`", f"{mean(lambda r: reached(r, best_accuracy(r))['step']):.0f}", f"{mean(lambda r: r['stopped']['step']):.0f}",
            f"{100 * mean(lambda r: share(r['informative'][:20])):.0f} %",
            f"{100 * mean(lambda r: share(r['informative'])):.0f} %",
            f"{mean(lambda r: r['selection']['response_tokens']) / 1000:.0f}",
            f"{mean(lambda r: r['stopped']['sampled_tokens']) / 1000:.0f}",
            f"{mean(lambda r: r['stopped']['learned_tokens']) / 1000:.0f}",
            f"{mean(lambda r: r['selection']['seconds']):.0f}", f"{mean(lambda r: r['stopped']['seconds']):.0f}",
            f"{mean(lambda r: spent(r, r['stopped'])):.0f}", f"{mean(lambda r: spent(r, r['stopped'], True)):.0f}",
        ])  # fmt: skip
    head = [
        "arm", "best step", "steps", "informative groups, first 20 steps", "all steps", "selection, k tokens", "sampled, k tokens",
        "learned, k tokens", "selection, s", "training, s", "both, s", "both, every response back-propagated, s",
    ]  # fmt: skip
    return table(head, rows)


def price_table(arms: dict[str, list[Result]]) -> str:
    """Median steps and cost of a validation accuracy."""
    rows = []
    for name, runs in arms.items():
        cells = [f"`{name}`"]
        for level in LEVELS:
            points = [(r, reached(r, level)) for r in runs]
            steps = float(np.median([point["step"] if point else math.inf for _, point in points]))
            costs = [float(np.median([spent(r, p, e) if p else math.inf for r, p in points])) for e in (False, True)]
            there = sum(point is not None for _, point in points)
            cells.append(
                f"{steps:.0f}: {costs[0]:.0f} / {costs[1]:.0f} ({there}/{len(points)})"
                if math.isfinite(steps)
                else f"- ({there}/{len(points)})"
            )
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
            cells.append(with_p(seeds, mean, half, p))
        rows.append([cells[0], str(seeds), *cells[1:]])
    return table(["difference", "seeds", "all, points", "all that need the image, points"], rows)


def lead_table(arms: dict[str, list[Result]]) -> str:
    """Paired differences of validation accuracy from the full pool's after the same number of steps, percentage points."""
    last = max(point["step"] for r in arms["full"] for point in r["curve"])
    steps = [step for step in STEPS if step <= last]
    rows = []
    for name in [n for n in arms if n != "full"]:
        cells = [f"`{name}` - `full`"]
        for step in steps:

            def there(r: Result, step: int = step) -> float:
                return float(point_at(r, step)["accuracy"])

            cells.append(with_width(*paired(arms[name], arms["full"], there)[1:3]))
        rows.append(cells)
    return table(["difference", *(f"{step} steps" for step in steps)], rows)


def kinds_table(arms: dict[str, list[Result]]) -> str:
    """What the arms trained on: rows of each kind, means over seeds."""
    rows = []
    for name, runs in arms.items():
        rows.append([f"`{name}`", *(f"{np.mean([r['kinds'].get(kind, 0) for r in runs]):.0f}" for kind in RECIPES)])
    return table(["arm", *(f"{kind} ({recipe.role})" for kind, recipe in RECIPES.items())], rows)


def goal(arms: dict[str, list[Result]]) -> str:
    """The goal's conditions for every arm with a selection, met or not."""
    pool = max(r["rows"] for r in arms["full"])
    full = {r["seed"]: r for r in arms["full"]}
    rows = []
    for name in [n for n in arms if n not in ("full", "random")]:
        runs = [r for r in arms[name] if r["seed"] in full]
        share = float(np.mean([r["rows"] for r in runs])) / pool
        seeds, gain, half, p_full = paired(runs, arms["full"], accuracy)
        ratios = [float(np.median([catch_up(r, full[r["seed"]], e) for r in runs])) for e in (False, True)]
        compared, over, over_half, p = paired(runs, arms["random"], accuracy)
        rows.append([
            f"`{name}`", str(seeds), f"{100 * share:.1f} % {_met(share <= SHARE)}",
            with_width(gain, half) + (f", {_p(p_full)}" if seeds > 1 else "") + f" {_met(gain >= 0)}",
            *(f"{100 * ratio:.0f} % {_met(ratio <= COST_GOAL)}" if math.isfinite(ratio) else f"never {_met(False)}" for ratio in ratios),
            with_width(over, over_half) + (f", {_p(p)} {_met(over > 0 and p < 0.05)}" if compared > 1 else ""),
        ])  # fmt: skip
    head = [
        "arm", "seeds", "rows", "accuracy - full's, points", "cost to full's accuracy / full's cost",
        "the same, every response back-propagated", "accuracy - random's, points",
    ]  # fmt: skip
    return table(head, rows)


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


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
            for step in range(0, max(p["step"] for run in runs for p in run["curve"]) + 1, r["curve"][1]["step"]):
                point = point_at(r, step)
                by_step[step].append((spent(r, point), point["accuracy"]))
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
            # The same colour for an arm in every setting's figure.
            color=alt.Color(
                "arm:N",
                scale=alt.Scale(domain=list(MAIN)),
                legend=alt.Legend(title="trained on", values=[arm for arm in MAIN if arm in arms]),
            ),
            order="seconds:Q",
        )
        .properties(width=640, height=360)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(vl_convert.vegalite_to_svg(chart.to_json()), encoding="utf-8")


def measured(results: Sequence[Result], name: str) -> str:
    """All generated tables as Markdown."""
    grpo, rloo = group(results, "grpo"), group(results, "rloo")
    main = {arm: runs for arm, runs in grpo.items() if arm in MAIN}
    rest = {arm: runs for arm, runs in grpo.items() if arm not in MAIN}
    pairs = [(arm, other) for arm in main if arm not in ("full", "random") for other in ("full", "random")]
    pairs += [("random", "full"), ("no_ace", "rap_paper"), ("ace_core", "rap_paper")]
    parts = ["### The goal", goal(grpo), "### Held-out accuracy, percent", accuracy_table(main)]
    parts += ["### Differences", difference_table(grpo, pairs), "### Cost", cost_table(main)]
    parts += ["### Lead over the full pool after the same number of steps, validation, points", lead_table(main)]
    parts += ["### Steps and cost until a validation accuracy", price_table(grpo)]
    parts += [f"![Validation accuracy against cost](images/pays_for_itself_{name}.svg)"]
    if rest:
        parts += ["### Other rules and ablations", accuracy_table(rest), cost_table(rest)]
        parts += [difference_table(grpo, [(arm, other) for arm in rest for other in ("no_ace", "random")])]
    if rloo:
        parts += ["### RLOO", accuracy_table(rloo), cost_table(rloo)]
    return "\n\n".join([*parts, "### What each arm trained on, rows", kinds_table(grpo)])


def write_docs(out: Path, docs: Path, name: str) -> None:
    """Fills the setting's part of docs/pays_for_itself.md; the figure and the raw numbers go beside it."""
    results = read_runs(out)
    page = docs / "pays_for_itself.md"
    begin, end = marks(name)
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n\n{measured(results, name)}\n\n{end}{after}", encoding="utf-8")
    figure(group(results, "grpo"), docs / "images" / f"pays_for_itself_{name}.svg")
    raw = docs / "pays_for_itself" / f"{name}.jsonl"
    raw.parent.mkdir(exist_ok=True)
    raw.write_text("".join(json.dumps(result, sort_keys=True) + "\n" for result in results), encoding="utf-8")


if __name__ == "__main__":
    write_docs(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
