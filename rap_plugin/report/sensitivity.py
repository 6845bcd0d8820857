"""How the verdicts move when a threshold or an ACE option moves: the selector, run again over the same evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from rap_plugin.config import RunConfig
from rap_plugin.errors import NoFittingSize
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.table import EvidenceTable, Numbers, with_statistics
from rap_plugin.evidence.variants import SIGMA, VARIANTS, Variant
from rap_plugin.scorers import accuracy_blind, accuracy_image, difficulty, discrepancy, log_psi
from rap_plugin.selectors.base import Decision, Selection
from rap_plugin.selectors.curtailed import count_open, decide
from rap_plugin.selectors.rap import select_paper

NEEDED = {score.name: score for score in (accuracy_image, accuracy_blind, discrepancy, difficulty, log_psi)}
"""The scores that the paper's rule looks at."""

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
    shown: tuple[str, ...] = ()
    """Verdicts of the samples that the page shows, in its order."""


@dataclass(frozen=True)
class Sensitivity:
    """Outcomes by what was moved; empty where a selector has nothing of the kind."""

    lambda_c: list[Outcome]
    lambda_a: list[Outcome]
    variants: list[Outcome]
    left_out: list[str]
    """Settings that a curtailed run cannot answer: a stopped sample could have another verdict under them."""

    def __bool__(self) -> bool:
        return bool(self.settings)

    @property
    def settings(self) -> list[Outcome]:
        """All of them; a sample of the page names its verdict under each by this order."""
        return [*self.lambda_c, *self.lambda_a, *self.variants]


@dataclass(frozen=True)
class Setting:
    """One thing moved, all else equal."""

    label: str
    config: RunConfig
    own: bool
    variant: Variant | None = None


def measure_sensitivity(store: EvidenceStore, selection: Selection, shown: Sequence[int] = ()) -> Sensitivity:
    """Moves lambda_c, lambda_a, and ACE's reduction, heads and w, one after the other; all else, a budget included,
    stays.

    Only the paper's rule has them. Every outcome is what `rap decide` gives under that setting; `shown` are the samples
    (indices in the evidence table) whose verdicts it names.
    """
    options = selection.config.selection
    if options.selector != "rap" or options.preset != "paper":
        return Sensitivity([], [], [], [])
    measured = bool(np.isfinite(selection.scores["log_psi"]).any()) and options.ace
    left_out: list[str] = []
    table = selection.table
    outcomes = partial(_outcomes, selection, list(shown), left_out)
    lambda_c = outcomes(table, _lambda_c(selection), "λc = ") if options.cde else []
    lambda_a = outcomes(table, _lambda_a(selection), "λa = ") if measured else []
    variants = []
    if measured:
        settings = _variants(selection)
        columns = [(setting.label, selection.config.ace.over_rollouts) for setting in settings]
        variants = outcomes(with_statistics(store, table, columns), settings, "")
    return Sensitivity(lambda_c, lambda_a, variants, left_out)


def _lambda_c(selection: Selection) -> list[Setting]:
    own = selection.config.selection.lambda_c
    steps = sorted({*LAMBDA_C, own})
    return [_moved(selection, f"{step:.3g}", "selection", {"lambda_c": step}, own=step == own) for step in steps]


def _lambda_a(selection: Selection) -> list[Setting]:
    own = selection.decision.thresholds["lambda_a"]
    log = selection.scores["log_psi"]
    found = np.exp(np.minimum(np.quantile(log[np.isfinite(log)], PSI_QUANTILES), 700.0)).tolist()
    steps = sorted(
        {f"{step:.2g}": step for step in (*found, own) if 0 < step < math.inf}.items(), key=lambda item: item[1]
    )
    return [_moved(selection, label, "selection", {"lambda_a": step}, own=step == own) for label, step in steps]


def _variants(selection: Selection) -> list[Setting]:
    ace = selection.config.ace
    own = Variant(ace.reduction, ace.heads, ace.window)
    settings = []
    for variant in VARIANTS:
        # Evidence of the suffix reduction holds for one sigma only.
        if variant.reduction == "suffix" and ace.sigma != SIGMA:
            continue
        changed = {"reduction": variant.reduction, "heads": variant.heads, "window": variant.window}
        settings.append(_moved(selection, variant.column, "ace", changed, own=variant == own, variant=variant))
    return settings


def _moved(
    selection: Selection,
    label: str,
    section: str,
    values: Mapping[str, Any],
    *,
    own: bool,
    variant: Variant | None = None,
) -> Setting:
    part = getattr(selection.config, section).model_copy(update=dict(values))
    return Setting(label, selection.config.model_copy(update={section: part}), own, variant)


def _outcomes(
    selection: Selection,
    shown: list[int],
    left_out: list[str],
    table: EvidenceTable,
    settings: list[Setting],
    name: str,
) -> list[Outcome]:
    outcomes = []
    for setting in settings:
        if setting.own:
            outcomes.append(_judged(selection, setting, selection.decision, selection.scores["log_psi"], shown))
        elif count_open(table, setting.config, NEEDED):
            left_out.append(f"{name}{setting.label}")
        else:
            try:
                decision, scores = decide(table, setting.config, NEEDED, partial(select_paper, explained=False))
            except NoFittingSize:
                left_out.append(f"{name}{setting.label}")
                continue
            outcomes.append(_judged(selection, setting, decision, scores["log_psi"], shown))
    return outcomes


def _judged(selection: Selection, setting: Setting, decision: Decision, log: Numbers, shown: list[int]) -> Outcome:
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
    return Outcome(
        setting.label,
        decision.counts(),
        int(now.sum()),
        overlap,
        flagged,
        setting.own,
        setting.variant,
        tuple(decision.verdicts[shown].tolist()),
    )
