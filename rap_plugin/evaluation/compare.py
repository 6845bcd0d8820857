"""Several models on several tasks: headline measures with intervals, paired differences, visual dependence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rap_plugin.evaluation.benchmarks import BENCHMARKS, find_task
from rap_plugin.evaluation.measures import COMMON, Measure, Record, rule_errors
from rap_plugin.evaluation.results import Result
from rap_plugin.evaluation.stats import bootstrap, bootstrap_mean, mcnemar, wilson

UNITS = ("problem", "pair")
"""Groups whose records belong together: they are drawn together in a bootstrap."""
PAPER: dict[str, tuple[float, ...]] = {
    "base": (68.70, 56.07, 39.31, 35.90, 59.13, 44.52),
    "full, 54,931 samples": (70.70, 61.53, 48.43, 38.67, 60.51, 46.09),
    "s1, 1,000": (68.50, 61.80, 45.79, 35.05, 61.05, 45.86),
    "LIMO, 4,093": (69.90, 61.33, 45.74, 34.67, 59.08, 44.74),
    "LIMR, 8,136": (71.10, 62.12, 48.02, 41.21, 62.86, 45.81),
    "RAP, 5,159": (73.20, 62.53, 48.65, 42.00, 63.31, 46.53),
}
"""RAP (arXiv 2506.04755), Qwen2.5-VL-7B, percent, in the order of `REPORTED`; scored by the authors' tools, so for orientation only."""


@dataclass(frozen=True)
class Cell:
    """A model on a task."""

    model: str
    task: str
    variant: str
    measure: str
    value: float | None
    low: float | None
    high: float | None
    count: int
    unread: float
    contradictory: float
    """of the unread: two answers that exclude each other"""
    unjudged: float
    judged: float
    tokens: float | None
    judge: str


@dataclass(frozen=True)
class Difference:
    """Two results over the same problems: second minus first."""

    task: str
    first: str
    second: str
    count: int
    value: float
    low: float
    high: float
    p: float | None
    """McNemar's exact p; None when scores are not only right and wrong"""


@dataclass(frozen=True)
class BenchmarkComparison:
    """Everything that the tables show. Shares are 0..1."""

    cells: list[Cell]
    differences: list[Difference]
    """of every other model from the first one"""
    dependence: list[Difference]
    """visual dependence: accuracy with images minus without, the measure behind CDE at the level of a benchmark"""
    notes: list[str]


def compare(results: Sequence[Result], against: str | None = None) -> BenchmarkComparison:
    """Compares models task by task; `against` is the model that others are compared with, the first by default.

    Results over other data, of another prompt or by another judge are shown and not paired; a note says so.
    """
    held = [*results, *_pooled(results)]
    order = list(dict.fromkeys(result.model for result in results))
    first = against if against in order else order[0]
    by_place: dict[tuple[str, str], dict[str, Result]] = defaultdict(dict)
    for result in held:
        by_place[result.task, result.variant][result.model] = result
    notes: list[str] = []
    differences, dependence = [], []
    for (task, variant), models in by_place.items():
        label = f"{task}_{variant}" if variant else task
        base = models.get(first)
        for model in order:
            other = models.get(model)
            if base and other and other is not base and _paired(base, other, notes):
                differences.append(_difference(label, first, model, base.records, other.records))
        if variant == "":
            for model, seen in models.items():
                blind = by_place.get((task, "blind"), {}).get(model)
                if blind and _paired(seen, blind, notes):
                    dependence.append(_difference(task, f"{model}, blind", model, blind.records, seen.records))
    for result in results:
        problem = rule_errors(result.records.values())
        if problem:
            notes.append(f"{result.task}: {result.model}: {problem}")
    cells = [_cell(result) for result in held]
    rank = {name: i for i, name in enumerate(order)}
    cells.sort(key=lambda cell: (_task_rank(cell.task), cell.variant, rank[cell.model]))
    return BenchmarkComparison(cells, differences, dependence, list(dict.fromkeys(notes)))


def _task_rank(task: str) -> tuple[int, str]:
    name = task if task in BENCHMARKS else find_task(task)[0].name
    return list(BENCHMARKS).index(name), task


def headline_of(task: str) -> Measure:
    """The measure that a task is cited by."""
    benchmark = BENCHMARKS[task] if task in BENCHMARKS else find_task(task)[0]
    return next(one for one in (*COMMON, *benchmark.measures) if one.name == benchmark.headline)


def _cell(result: Result) -> Cell:
    records = list(result.records.values())
    measure = headline_of(result.task)
    low, high = _interval(measure, records)
    value = measure.of(records)
    tokens = result.tokens
    shares = {one.name: one.of(records) or 0.0 for one in COMMON}
    return Cell(
        result.model, result.task, result.variant, measure.name, value, low, high, len(records), shares["unread"], shares["contradictory"],
        shares["unjudged"], shares["judged"], tokens, str(result.facts.get("judge", "none")),
    )  # fmt: skip


def _interval(measure: Measure, records: list[Record]) -> tuple[float | None, float | None]:
    """Wilson's for a share of right responses, else a bootstrap over problems, or pairs and composite problems."""
    scores = [record["score"] for record in records if record["score"] is not None]
    if not scores:
        return None, None
    if measure.name == "accuracy":
        if set(scores) <= {0.0, 1.0}:
            return wilson(int(sum(scores)), len(scores))
        return bootstrap_mean(scores)
    units = _units(records)
    values = [measure.of(unit) for unit in units]
    whole = measure.of(records)
    known = [value for value in values if value is not None]
    if whole is None or not known:
        return None, None
    if abs(sum(known) / len(known) - whole) < 1e-9:
        if set(known) <= {0.0, 1.0}:
            return wilson(int(sum(known)), len(known))
        return bootstrap_mean(known)

    def of(positions: np.ndarray) -> float | None:
        return measure.of([record for position in positions for record in units[position]])

    return bootstrap(len(units), of)


def _units(records: Sequence[Record]) -> list[list[Record]]:
    held: dict[Any, list[Record]] = defaultdict(list)
    for record in records:
        names = [record["groups"][name] for name in UNITS if name in record["groups"]]
        steps = record["groups"].get("key", "").partition("_")[0]
        held[(names[0], steps) if names else record["id"]].append(record)
    return list(held.values())


def _paired(one: Result, other: Result, notes: list[str]) -> bool:
    for name in ("content_sha256", "prompt", "judge", "judge_prompt"):
        if one.facts.get(name) != other.facts.get(name):
            what = {"content_sha256": "data", "prompt": "prompts"}.get(name, "judges")
            notes.append(f"{one.task}: {one.model} and {other.model} have other {what}: not paired")
            return False
    return True


def _difference(
    task: str, first: str, second: str, before: Mapping[str, Record], after: Mapping[str, Record]
) -> Difference:
    pairs = [
        (before[key]["score"], after[key]["score"])
        for key in before
        if key in after and before[key]["score"] is not None and after[key]["score"] is not None
    ]
    gaps = [b - a for a, b in pairs]
    if not gaps:
        return Difference(task, first, second, 0, float("nan"), float("nan"), float("nan"), None)
    low, high = bootstrap_mean(gaps)
    binary = {score for pair in pairs for score in pair} <= {0.0, 1.0}
    p = mcnemar(sum(a > b for a, b in pairs), sum(b > a for a, b in pairs)) if binary else None
    return Difference(task, first, second, len(gaps), sum(gaps) / len(gaps), low, high, p)


def _pooled(results: Sequence[Result]) -> list[Result]:
    """The parts of a benchmark as one, for models that have all of them over comparable data."""
    found = []
    held = {(result.model, result.task, result.variant): result for result in results}
    for name, benchmark in BENCHMARKS.items():
        if not benchmark.pooled:
            continue
        tasks = [benchmark.task(part) for part in benchmark.pooled]
        for model, variant in dict.fromkeys((result.model, result.variant) for result in results):
            have = [held[model, task, variant] for task in tasks if (model, task, variant) in held]
            if len(have) < len(tasks):
                continue
            records = {f"{one.task}/{key}": record for one in have for key, record in one.records.items()}
            hashes = "+".join(str(one.facts.get("content_sha256")) for one in have)
            counts = [(one.tokens, len(one.records)) for one in have]
            total = sum(count for _, count in counts)
            known = all(tokens is not None for tokens, _ in counts)
            tokens = sum((tokens or 0.0) * count for tokens, count in counts) / total if known and total else None
            facts = {**have[0].facts, "content_sha256": hashes}
            found.append(replace(have[0], task=name, facts=facts, records=records, tokens=tokens))
    return found
