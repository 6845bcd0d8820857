"""Selections beside each other: what they share, where verdicts move, and how far chance decided them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rap_plugin.config import RunConfig, option_names
from rap_plugin.errors import NoFittingSize, Option, RapError
from rap_plugin.evidence.rollouts import RolloutColumns, read_rollouts
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.table import ArmCounts, Numbers
from rap_plugin.evidence.variants import ENTROPY_COLUMN, Variant
from rap_plugin.pipeline.forecast import FIRM, Forecast, forecast
from rap_plugin.pipeline.selection import load_selection
from rap_plugin.plugins import get_plugins
from rap_plugin.posterior.completion import reduced
from rap_plugin.rollout import Arm
from rap_plugin.selectors.base import Selection
from rap_plugin.selectors.curtailed import decide, stopped

DRAWS = 200

QUARANTINE = "quarantine"
ABSENT = "not in the pool"

SHAPING = frozenset({"model", "sampling", "prompt", "grading", "ace", "selection"})
"""The configuration's sections that evidence or verdicts depend on."""


@dataclass(frozen=True)
class Stability:
    """How a selection varies when its rollouts are drawn again from themselves."""

    draws: int
    seed: int
    size: float
    """Mean number of selected samples over the draws."""
    size_interval: tuple[float, float]
    """The 2.5 % and 97.5 % quantiles of that number."""
    agreement: float
    """Mean Jaccard index of a draw's selection with the run's own."""
    agreement_interval: tuple[float, float]
    firm: int
    """Samples of the run's selection that at least 90 % of the draws select."""
    open: int
    """Samples, selected or not, that 10 % to 90 % of the draws select: chance decides."""
    probability: Numbers = field(repr=False)
    """(N,) share of the draws that select each sample of the table."""
    unfit: int = 0
    """Draws of which no number of rows is one that the training can run on; they count as empty selections."""


@dataclass(frozen=True)
class RunView:
    """One run."""

    run: str
    usable: int
    chosen: int
    counts: dict[str, int]
    thresholds: dict[str, float]
    stability: Stability | None
    """None without draws, and of a curtailed run."""
    forecast: Forecast | None
    """What another full run would select; None without draws."""
    stopped: int
    """Samples whose sampling stopped early: their missing rollouts cannot be drawn again, so that there is no bootstrap."""
    selection: Selection = field(repr=False)


@dataclass(frozen=True)
class Pair:
    """Two runs, matched by the samples' ids."""

    first: str
    second: str
    common: int
    """Samples that both could use."""
    both: int
    """Samples that both select."""
    jaccard: float
    """Selected by both / selected by either; 1 where both select nothing."""
    known: int
    """Common samples with a discrepancy in both runs: those whose sampling stopped early have none."""
    spearman: float | None
    """Rank correlation of discrepancy over the common samples; None where it is not defined or not known of all."""
    posterior_spearman: float | None
    """Rank correlation of the posterior means of D, which partly sampled samples have too; None without draws."""
    flow: dict[str, dict[str, int]]
    """Samples by verdict in the first and verdict in the second run."""
    differ: dict[str, tuple[Any, Any]]
    """Options that shape evidence or verdicts and are not the same in both, with either value."""


@dataclass(frozen=True)
class Comparison:
    """What `compare_runs` found."""

    runs: list[RunView]
    pairs: list[Pair]


def compare_runs(
    runs: Sequence[str | PathLike[str]],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    on_draw: Callable[[int], None] | None = None,
) -> Comparison:
    """Compares finished runs pair by pair, and resamples each one's rollouts `draws` times (0: not at all).

    As many full runs are drawn from the posterior. Raises RapError for a folder that is no finished run. Cost: two
    decisions per draw and run.
    """
    if not runs:
        raise RapError("no run given; name at least one run directory")
    views = []
    with ExitStack() as stack:
        for run in runs:
            selection, store = load_selection(run)
            stack.enter_context(closing(store))
            decision = selection.decision
            early = int(stopped(selection.table).sum())
            if early and on_draw is not None:
                on_draw(draws)
            views.append(
                RunView(
                    fspath(run),
                    len(selection.table),
                    int(decision.chosen.sum()),
                    decision.counts(),
                    decision.thresholds,
                    resample(store, selection, draws, seed, on_draw) if draws and not early else None,
                    forecast(store, selection, draws, seed, on_draw) if draws else None,
                    early,
                    selection,
                )
            )
    return Comparison(views, [compare_pair(one, other) for one, other in combinations(views, 2)])


def compare_pair(one: RunView, other: RunView) -> Pair:
    """Overlap, rank correlation and flow of two runs."""
    first, second = one.selection, other.selection
    left, right = _by_id(first), _by_id(second)
    chosen = set(first.table.ids[first.decision.chosen]), set(second.table.ids[second.decision.chosen])
    both, either = len(chosen[0] & chosen[1]), len(chosen[0] | chosen[1])
    flow: dict[str, Counter[str]] = {}
    for key in left.keys() | right.keys():
        flow.setdefault(left.get(key, ABSENT), Counter())[right.get(key, ABSENT)] += 1
    _, at, there = np.intersect1d(first.table.ids.astype(str), second.table.ids.astype(str), return_indices=True)
    gains = first.scores["discrepancy"][at], second.scores["discrepancy"][there]
    known = int((np.isfinite(gains[0]) & np.isfinite(gains[1])).sum())
    # Sampling stops early where the discrepancy is clear: over the rest alone it would be another number.
    partial = bool(stopped(first.table)[at].any() or stopped(second.table)[there].any())
    return Pair(
        one.run,
        other.run,
        len(at),
        both,
        both / either if either else 1.0,
        known,
        None if partial else spearman(*gains),
        spearman(one.forecast.discrepancy[at], other.forecast.discrepancy[there])
        if one.forecast is not None and other.forecast is not None
        else None,
        {verdict: dict(sorted(counts.items())) for verdict, counts in sorted(flow.items())},
        _differing(first.config, second.config),
    )


def _differing(one: RunConfig, other: RunConfig) -> dict[str, tuple[Any, Any]]:
    left, right = one.model_dump(mode="json"), other.model_dump(mode="json")
    names = [name.split(".") for name in option_names() if name.partition(".")[0] in SHAPING]
    return {
        f"{section}.{option}": (left[section][option], right[section][option])
        for section, option in names
        if left[section][option] != right[section][option]
    }


def _by_id(selection: Selection) -> dict[str, str]:
    found = {item.id: QUARANTINE for item in selection.quarantine if item.id is not None and item.status != "duplicate"}
    found.update(zip(selection.table.ids.tolist(), selection.decision.verdicts.tolist(), strict=True))
    return found


def spearman(x: Numbers, y: Numbers) -> float | None:
    """Spearman's rank correlation of two (N,) arrays, ties at their mean rank, pairs with a NaN left out.

    None below three pairs or where one side does not vary.
    """
    there = np.isfinite(x) & np.isfinite(y)
    if there.sum() < 3:
        return None
    a, b = _ranks(x[there]), _ranks(y[there])
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale else None


def _ranks(values: Numbers) -> Numbers:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: Numbers = (ends - (counts - 1) / 2)[inverse]
    return means


def resample(
    store: EvidenceStore,
    selection: Selection,
    draws: int = DRAWS,
    seed: int = 0,
    on_draw: Callable[[int], None] | None = None,
) -> Stability:
    """Draws each sample's M rollouts of each arm again from themselves, with replacement, and decides again.

    A bootstrap over the rollouts: the pool, the configuration and the selector stay, thresholds that a budget or
    `auto` finds are found anew. It knows only what was sampled: a sample with 5 of 5 right stays so in every draw. Draws
    are given to samples in the order of their ids, so they do not depend on row order.
    """
    table, config = selection.table, selection.config
    registry = get_plugins().registry()
    selector = registry.get("selectors", config.selection.selector)
    ace = config.ace
    wanted = {Variant(ace.reduction, ace.heads, ace.window).column: ace.over_rollouts, ENTROPY_COLUMN: "mean"}
    rollouts = {arm: read_rollouts(store, table, arm, list(wanted)) for arm in table.arms}
    order = np.argsort(table.ids, kind="stable")
    chosen = selection.decision.chosen
    times = np.zeros(len(table), dtype=np.int64)
    sizes, agreements, unfit = np.empty(draws), np.empty(draws), 0
    for draw in range(draws):
        random = np.random.Generator(np.random.Philox(key=[seed, draw]))
        picks: dict[Arm, NDArray[np.int64]] = {}
        for arm in table.arms:
            picks[arm] = np.empty((len(table), table.rollouts), dtype=np.int64)
            picks[arm][order] = random.integers(0, table.rollouts, (len(table), table.rollouts))
        again = replace(
            table,
            arms={arm: _drawn(rollouts[arm], picks[arm]) for arm in table.arms},
            statistics={
                (column, over): reduced(
                    np.take_along_axis(rollouts["image"].statistics[column], picks["image"], axis=1), over
                )
                for column, over in wanted.items()
            },
        )
        try:
            now = decide(again, config, registry.things["scorers"], selector)[0].chosen
        except NoFittingSize:  # too few are left to cut: the training would have no rows
            now, unfit = np.zeros_like(chosen), unfit + 1
        times += now
        either = int((now | chosen).sum())
        sizes[draw], agreements[draw] = now.sum(), (now & chosen).sum() / either if either else 1.0
        if on_draw is not None:
            on_draw(1)
    probability = times / draws
    return Stability(
        draws,
        seed,
        float(sizes.mean()),
        _interval(sizes),
        float(agreements.mean()),
        _interval(agreements),
        int((probability[chosen] >= FIRM).sum()),
        int(((probability > 1 - FIRM) & (probability < FIRM)).sum()),
        probability,
        unfit,
    )


def _drawn(rollouts: RolloutColumns, picks: NDArray[np.int64]) -> ArmCounts:
    """Counts over the picked rollouts, (N, M) indices."""
    return ArmCounts(
        **{name: np.take_along_axis(values, picks, axis=1).sum(axis=1) for name, values in rollouts.counts.items()}
    )


def _interval(values: Numbers) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975]).tolist()
    return low, high


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain objects, without the per-sample numbers."""
    runs = []
    for view in comparison.runs:
        stability = None
        if view.stability is not None:
            stability = {
                name: getattr(view.stability, name) for name in Stability.__dataclass_fields__ if name != "probability"
            }
        runs.append(
            {
                "run": view.run,
                "usable": view.usable,
                "chosen": view.chosen,
                "counts": view.counts,
                "thresholds": view.thresholds,
                "stability": stability,
                "forecast": None if view.forecast is None else view.forecast.as_json(),
                "stopped": view.stopped,
            }
        )
    return {"runs": runs, "pairs": [asdict(pair) for pair in comparison.pairs]}


def write_probabilities(comparison: Comparison, path: Path) -> None:
    """A Parquet file with each sample's probability of being selected, one row per run and sample."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from rap_plugin.run_dir.files import replacing

    parts = [
        pa.table(
            {
                "rap_run": pa.array([view.run] * view.usable, pa.string()),
                "rap_row": pa.array(view.selection.table.rows, pa.int64()),
                "rap_id": pa.array(view.selection.table.ids, pa.string()),
                "rap_verdict": pa.array(view.selection.decision.verdicts.astype(object), pa.string()),
                "rap_probability": pa.array(view.stability.probability, pa.float64()),
            }
        )
        for view in comparison.runs
        if view.stability is not None
    ]
    if not parts:
        raise RapError(
            Option("out"),
            ": there are no probabilities without draws (leave --draws above 0), nor of curtailed runs, whose missing "
            "rollouts cannot be drawn again",
        )
    with replacing(path) as draft:
        pq.write_table(pa.concat_tables(parts), draft, compression="zstd")
