"""How the verdicts move when a threshold or an ACE option moves: the selector, run again over the same evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rap_plugin.config import RunConfig
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.table import Numbers, with_statistics
from rap_plugin.evidence.variants import VARIANTS, Variant
from rap_plugin.scorers.attention import log_psi
from rap_plugin.selectors.base import Decision, Selection
from rap_plugin.selectors.rap import select_rap

LAMBDA_C = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PSI_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
"""lambda_a is moved over the pool's own psi, because its scale differs from model to model."""


@dataclass(frozen=True)
class Outcome:
    """What one other setting would have decided."""

    label: str
    counts: dict[str, int]
    chosen: int
    overlap: float
    """Jaccard index with the run's own selection, in [0, 1]; 1 where both are empty."""
    flagged: float | None = None
    """Share of the measured samples with psi above lambda_a."""
    own: bool = False
    """The setting that the run has."""
    variant: Variant | None = None


@dataclass(frozen=True)
class Sensitivity:
    """Outcomes by what was moved; empty where a selector has nothing of the kind."""

    lambda_c: list[Outcome]
    lambda_a: list[Outcome]
    variants: list[Outcome]

    def __bool__(self) -> bool:
        return bool(self.lambda_c or self.lambda_a or self.variants)


def measure_sensitivity(store: EvidenceStore, selection: Selection) -> Sensitivity:
    """Moves lambda_c, lambda_a, and ACE's reduction, heads and w, one after the other, all else equal.

    Only the paper's rule has them. Thresholds that a budget found are moved without the budget.
    """
    options = selection.config.selection
    if options.selector != "rap" or options.preset != "paper":
        return Sensitivity([], [], [])
    measured = bool(np.isfinite(selection.scores["log_psi"]).any()) and options.ace
    return Sensitivity(
        _lambda_c(selection) if options.cde else [],
        _lambda_a(selection) if measured else [],
        _variants(store, selection) if measured else [],
    )


def _lambda_c(selection: Selection) -> list[Outcome]:
    own = selection.decision.thresholds["lambda_c"]
    steps = sorted({*LAMBDA_C, round(own, 6)})
    return [
        _outcome(selection, f"{step:.3g}", {"lambda_c": step, "keep": None}, own=math.isclose(step, own, abs_tol=1e-6))
        for step in steps
    ]


def _lambda_a(selection: Selection) -> list[Outcome]:
    own = selection.decision.thresholds["lambda_a"]
    log = selection.scores["log_psi"]
    found = np.exp(np.minimum(np.quantile(log[np.isfinite(log)], PSI_QUANTILES), 700.0)).tolist()
    steps = sorted(
        {f"{step:.2g}": step for step in (*found, own) if 0 < step < math.inf}.items(), key=lambda item: item[1]
    )
    budget = {"lambda_c": selection.decision.thresholds["lambda_c"], "keep": None}
    return [_outcome(selection, label, {**budget, "lambda_a": step}, own=step == own) for label, step in steps]


def _variants(store: EvidenceStore, selection: Selection) -> list[Outcome]:
    ace = selection.config.ace
    every = [(variant.column, ace.over_rollouts) for variant in VARIANTS]
    table = with_statistics(store, selection.table, every)
    outcomes = []
    for variant in VARIANTS:
        # Evidence of the suffix reduction holds for one sigma only.
        if variant.reduction == "suffix" and ace.sigma != 2.0:
            continue
        own = variant == Variant(ace.reduction, ace.heads, ace.window)
        changed = {"reduction": variant.reduction, "heads": variant.heads, "window": variant.window}
        config = _changed(selection.config, "ace", changed)
        scores = {**selection.scores, "log_psi": log_psi(table, config)}
        decision = select_rap(table, scores, config)
        outcomes.append(_judged(selection, variant.column, decision, scores["log_psi"], own=own, variant=variant))
    return outcomes


def _outcome(selection: Selection, label: str, changed: Mapping[str, Any], *, own: bool) -> Outcome:
    config = _changed(selection.config, "selection", changed)
    decision = select_rap(selection.table, selection.scores, config)
    return _judged(selection, label, decision, selection.scores["log_psi"], own=own)


def _judged(
    selection: Selection, label: str, decision: Decision, log: Numbers, *, own: bool, variant: Variant | None = None
) -> Outcome:
    before, now = selection.decision.chosen, decision.chosen
    either = int((before | now).sum())
    overlap = int((before & now).sum()) / either if either else 1.0
    measured = np.isfinite(log)
    threshold = decision.thresholds["lambda_a"]
    flagged = (
        float((log[measured] > (math.log(threshold) if threshold > 0 else -math.inf)).mean())
        if measured.any()
        else None
    )
    return Outcome(label, decision.counts(), int(now.sum()), overlap, flagged, own, variant)


def _changed(config: RunConfig, section: str, values: Mapping[str, Any]) -> RunConfig:
    part = getattr(config, section).model_copy(update=dict(values))
    return config.model_copy(update={section: part})
