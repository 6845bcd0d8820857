"""What the page needs to decide again by itself: counts of samples that no threshold can tell apart.

The paper's rule looks at four things of a judged sample: its discrepancy D, its difficulty, its psi, and whether most of
its responses were cut off. D and difficulty are fractions of small counts, so few pairs of them occur: a `cell` each. psi
is continuous, and is put into bins between the values of lambda_a that the page offers, so that for every one of them
the counts are those of `rap decide`. The size of the table depends on the rollouts per sample, not on the pool.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rap_plugin.config import RunConfig
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.table import EvidenceTable, Numbers, with_statistics
from rap_plugin.evidence.variants import SIGMA, VARIANTS, Variant
from rap_plugin.scorers import difficulty, discrepancy, log_psi
from rap_plugin.selectors.base import Selection, judged, mostly_cut
from rap_plugin.selectors.row_count import changes_size

EDGES = 96
"""Values of lambda_a that are offered per ACE variant, the run's own and `auto` not counted."""
ENTRIES = 160_000
"""Filled entries of all tables together: fewer values of lambda_a are offered where there would be more."""
AUTO = "auto"


@dataclass(frozen=True)
class Edge:
    """A value of lambda_a as the command line takes it, and the logarithm that psi is compared with."""

    text: str
    log: float

    @property
    def value(self) -> float:
        """lambda_a as a number; what was found, for `auto`."""
        return math.exp(min(self.log, 700.0)) if self.text == AUTO else float(self.text)


@dataclass(frozen=True)
class VariantBins:
    """The judged samples under one ACE variant."""

    variant: Variant
    edges: tuple[Edge, ...]
    bins: NDArray[np.int64]
    """(J,) how many edges psi is above; one more than there are edges where psi was not measured."""


@dataclass(frozen=True)
class Joint:
    """Judged samples by cell, and by bin of psi for every variant."""

    judged: NDArray[np.int64]
    """(J,) their indices in the evidence table, in the order of their ids."""
    cell: NDArray[np.int64]
    """(J,) number of each sample's cell."""
    rank: NDArray[np.int64]
    """(J,) how many samples of the same cell have a smaller id."""
    values: tuple[tuple[float, float], ...]
    """(D, difficulty) of each cell."""
    cut: NDArray[np.bool_]
    """(J,) most of the responses with the image were cut off."""
    variants: tuple[VariantBins, ...]
    """Empty where attention was not measured."""


def why_not(selection: Selection) -> str:
    """Why a page cannot decide again for this run, as a sentence; empty where it can."""
    options = selection.config.selection
    if options.selector != "rap" or options.preset != "paper":
        return "Only the paper's rule can be moved here."
    if not len(selection.table):
        return "There is no usable sample to decide about."
    if selection.table.incomplete:
        return "Sampling stopped early for some samples, so other thresholds may need rollouts that were not sampled."
    if changes_size(options):
        return "The selection is brought to a number of rows that its training needs, which depends on single samples."
    if options.unmeasured == "discard" and not options.hard_requires_confidence:
        return "With these options the verdicts depend on single samples."
    return ""


def with_variants(store: EvidenceStore, selection: Selection) -> Selection:
    """The selection with the attention statistics of every ACE variant at hand: one scan for all that asks for them."""
    if not np.isfinite(selection.scores["log_psi"]).any():
        return selection
    over = selection.config.ace.over_rollouts
    names = [(variant.column, over) for variant in _variants(selection.config)]
    return replace(selection, table=with_statistics(store, selection.table, names))


def build_joint(selection: Selection) -> Joint:
    """Counts the samples of a selection `with_variants`."""
    table, config = selection.table, selection.config
    there = np.flatnonzero(judged(table, config))
    there = there[np.argsort(table.ids[there], kind="stable")]
    gain, hard = discrepancy(table, config)[there], difficulty(table, config)[there]
    cell, rank, values = _cells(gain, hard)
    measured = bool(np.isfinite(selection.scores["log_psi"]).any())
    settings = [_with_variant(config, variant) for variant in _variants(config)]
    variants = _binned(table, settings, there, cell, config) if measured else ()
    return Joint(there, cell, rank, values, mostly_cut(table)[there], variants)


def _variants(config: RunConfig) -> list[Variant]:
    """Evidence of the suffix reduction holds for one sigma only."""
    return [variant for variant in VARIANTS if variant.reduction == "window" or config.ace.sigma == SIGMA]


def _with_variant(config: RunConfig, variant: Variant) -> RunConfig:
    options = {"reduction": variant.reduction, "heads": variant.heads, "window": variant.window}
    return config.model_copy(update={"ace": config.ace.model_copy(update=options)})


def _cells(
    gain: Numbers, hard: Numbers
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[tuple[float, float], ...]]:
    pairs = np.column_stack((gain, hard))
    found, cell = np.unique(pairs, axis=0, return_inverse=True)
    cell = cell.reshape(-1)
    order = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[order], np.arange(len(found)))
    rank = np.empty(len(cell), dtype=np.int64)
    rank[order] = np.arange(len(cell)) - np.repeat(starts, np.diff(np.append(starts, len(cell))))
    return cell, rank, tuple((float(d), float(h)) for d, h in found)


def _binned(
    table: EvidenceTable, settings: list[RunConfig], there: NDArray[np.int64], cell: NDArray[np.int64], own: RunConfig
) -> tuple[VariantBins, ...]:
    logs = [log_psi(table, setting) for setting in settings]
    offered = EDGES
    while True:
        found, entries = [], 0
        for setting, log in zip(settings, logs, strict=True):
            ace = setting.ace
            edges = _edges(log, own, offered)
            here = log[there]
            bins = np.searchsorted([edge.log for edge in edges], here, side="left")
            bins[np.isnan(here)] = len(edges) + 1
            found.append(VariantBins(Variant(ace.reduction, ace.heads, ace.window), edges, bins))
            entries += len(np.unique(cell * (len(edges) + 2) + bins))
        if entries <= ENTRIES or offered <= 6:
            return tuple(found)
        offered //= 2


def _edges(log: Numbers, own: RunConfig, offered: int) -> tuple[Edge, ...]:
    """Values of lambda_a in three digits over the pool's own psi, the run's own one, 0.1 and `auto`, ascending."""
    options = own.selection
    texts = ["0.1"] + ([] if options.lambda_a == AUTO else [text_of(options.lambda_a)])
    finite = np.clip(log[np.isfinite(log)], -690.0, 690.0)
    if len(finite):
        over = np.quantile(finite, np.linspace(0, 1, offered))
        texts += [text_of(float(f"{math.exp(value):.3g}")) for value in over.tolist()]
        # One below all of them and one above, where ACE flags everything and nothing.
        texts += [text_of(float(f"{math.exp(value):.2g}")) for value in (over[0] - 0.7, over[-1] + 0.7)]
    by_value = {float(text): text for text in texts}
    edges = [Edge(text, math.log(value) if value > 0 else -math.inf) for value, text in by_value.items()]
    measured = log[~np.isnan(log)]
    with np.errstate(invalid="ignore"):
        found = float(np.quantile(measured, options.psi_quantile)) if len(measured) else math.inf
    if not math.isnan(found):
        edges.append(Edge(AUTO, found))
    return tuple(sorted(edges, key=lambda edge: edge.log))


def text_of(value: float | str) -> str:
    """A value of lambda_a as the command line takes it: read back, it is the same number."""
    if isinstance(value, str):
        return value
    short = f"{value:.12g}"
    return short if float(short) == value else repr(value)


def own_variant(joint: Joint, config: RunConfig) -> int:
    """Number of the run's own variant; -1 where attention was not measured."""
    ace = config.ace
    own = Variant(ace.reduction, ace.heads, ace.window)
    return next((i for i, bins in enumerate(joint.variants) if bins.variant == own), -1)


def own_edge(bins: VariantBins, config: RunConfig) -> int:
    """Number of the edge that is the run's own lambda_a."""
    given = config.selection.lambda_a
    if given == AUTO:
        return next(i for i, edge in enumerate(bins.edges) if edge.text == AUTO)
    return next(i for i, edge in enumerate(bins.edges) if edge.text != AUTO and edge.value == given)


def as_json(joint: Joint, selection: Selection) -> dict[str, Any]:
    """The table as the page reads it. Counts are sparse: `[cell, bin, count, bin, count, ..]` per filled cell."""
    options, counts = selection.config.selection, selection.decision.counts()
    own = own_variant(joint, selection.config)
    size = len(joint.values)
    return {
        "usable": len(selection.table),
        "quarantined": len(selection.quarantine),
        "fixed": {word: counts[word] for word in ("text_only", "too_few_graded") if word in counts},
        "d": [d for d, _ in joint.values],
        "difficulty": [hard for _, hard in joint.values],
        "n": np.bincount(joint.cell, minlength=size).tolist(),
        "cut": np.bincount(joint.cell[joint.cut], minlength=size).tolist(),
        "confident": options.hard_requires_confidence,
        "variants": [_variant_json(bins, joint.cell) for bins in joint.variants],
        "own": {
            "lambda_c": options.lambda_c,
            "variant": own,
            "edge": own_edge(joint.variants[own], selection.config) if own >= 0 else -1,
            "keep": options.keep,
            "cde": options.cde,
            "ace": options.ace,
            "drm": options.drm,
            "discard": options.unmeasured == "discard",
            "positive": options.hard_requires_discrepancy,
        },
    }


def _variant_json(found: VariantBins, cell: NDArray[np.int64]) -> dict[str, Any]:
    width = len(found.edges) + 2
    keys, numbers = np.unique(cell * width + found.bins, return_counts=True)
    rows: dict[int, list[int]] = {}
    for key, number in zip(keys.tolist(), numbers.tolist(), strict=True):
        rows.setdefault(key // width, [key // width]).extend((key % width, number))
    return {
        "reduction": found.variant.reduction,
        "heads": found.variant.heads,
        "window": found.variant.window,
        "edges": [edge.text for edge in found.edges],
        "values": [_finite(edge.value) for edge in found.edges],
        "counts": list(rows.values()),
    }


def _finite(value: float) -> float:
    return min(value, 1e308)


def moved_options(selection: Selection, base: RunConfig, moved: Collection[str]) -> list[str]:
    """`NAME=VALUE` for every option in which this selection differs from `rap select`'s and that the page does not move."""
    texts = []
    for section in ("grading", "ace", "selection"):
        now = getattr(selection.config, section).model_dump(mode="json")
        before = getattr(base, section).model_dump(mode="json")
        texts += [
            f"{section}.{name}={json.dumps(value, ensure_ascii=False)}"
            for name, value in now.items()
            if value != before[name] and f"{section}.{name}" not in moved
        ]
    return texts
