"""Curtailment: sampling stops for a sample as soon as its verdict is settled."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from rap_plugin.config import RunConfig
from rap_plugin.errors import Option, RapError
from rap_plugin.evidence.table import ArmCounts, EvidenceTable, Numbers
from rap_plugin.rollout import ARMS, Arm
from rap_plugin.selectors.base import Mask, Scores
from rap_plugin.selectors.stopping import StoppingRule, curtails_by_default, find_stopping_rule, missing


def active_stopping_rule(config: RunConfig) -> StoppingRule | None:
    """The stopping rule to sample with under this configuration, None for full sampling.

    Raises RapError where curtailment is asked for but the selector's definition needs every rollout.
    """
    rule = find_stopping_rule(config)
    if config.sampling.curtail is None:
        return rule if curtails_by_default(config) else None
    if config.sampling.curtail and rule is None:
        raise RapError(
            f"sampling.curtail: selector {config.selection.selector} needs every rollout here (a budget or lambda_a=auto takes "
            "its threshold from the whole pool; of plugins nothing is known); drop ",
            Option("sampling.curtail"),
            ", or give fixed thresholds",
        )
    return rule if config.sampling.curtail else None


def stopped(table: EvidenceTable) -> Mask:
    """(N,) True where a sample has fewer rollouts than M in an arm."""
    short = (missing(table, "image") > 0) | (missing(table, "blind") > 0)
    return short & (table.images > 0)


def complete(table: EvidenceTable) -> EvidenceTable:
    """The table with every missing rollout counted as wrong.

    Where every verdict is settled, any completion gives the verdicts of the full run, and this is one.
    """
    arms = {}
    for arm in ARMS:
        counts, left = table.arms[arm], missing(table, arm)
        grown = {name: getattr(counts, name) + left for name in ("stored", "answered", "graded")}
        arms[arm] = dataclasses.replace(counts, **grown)
    return dataclasses.replace(table, arms=arms)


def without_means(table: EvidenceTable, scores: Scores, arms: Mapping[str, tuple[Arm, ...]]) -> dict[str, Numbers]:
    """The scores with NaN where a stopped sample lacks rollouts of an arm that the score depends on.

    `arms` names those arms by score.
    """
    short = {arm: missing(table, arm) > 0 for arm in ARMS}
    return {
        name: np.where(np.logical_or.reduce([short[arm] for arm in arms[name]]), np.nan, values)
        for name, values in scores.items()
    }


def explain(table: EvidenceTable, reasons: list[str]) -> None:
    """Replaces the reasons of stopped samples, whose shares would be made up, by the counts that settled them."""
    image, blind = table.arms["image"], table.arms["blind"]
    for i in np.flatnonzero(stopped(table)):
        reasons[i] = (
            f"settled by {_counted(image, i)} with the image and {_counted(blind, i)} without; the rest was not sampled"
        )


def saving(table: EvidenceTable) -> str:
    """What curtailment saved, as a note."""
    pictured = table.images > 0
    total = int(pictured.sum()) * table.rollouts * 2
    left = sum(int(missing(table, arm)[pictured].sum()) for arm in ARMS)
    return f"curtailment left {left:,} of {total:,} rollouts unsampled ({left / max(total, 1):.0%}); every verdict is that of the full run"


def _counted(counts: ArmCounts, i: int) -> str:
    return f"{counts.right[i]} of {counts.graded[i]} right"
