"""Curtailment: sampling stops for a sample as soon as its verdict is settled."""

from __future__ import annotations

import dataclasses

import numpy as np

from rap_plugin.config import RunConfig
from rap_plugin.errors import Option, RapError
from rap_plugin.evidence.table import ArmCounts, EvidenceTable, Numbers
from rap_plugin.rollout import ARMS
from rap_plugin.selectors.base import Mask, Scores
from rap_plugin.selectors.stopping import IMAGE_SCORES, Settler, curtails_by_default, find_settler, missing


def active_settler(config: RunConfig) -> Settler | None:
    """The settler to sample with under this configuration, None for full sampling.

    Raises RapError where curtailment is asked for but the selector's definition needs every rollout.
    """
    settler = find_settler(config)
    if config.sampling.curtail is None:
        return settler if curtails_by_default(config) else None
    if config.sampling.curtail and settler is None:
        raise RapError(
            f"sampling.curtail: selector {config.selection.selector} needs every rollout here (a budget or lambda_a=auto takes "
            "its threshold from the whole pool; of plugins nothing is known); drop ",
            Option("sampling.curtail"),
            ", or give fixed thresholds",
        )
    return settler if config.sampling.curtail else None


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


def without_means(table: EvidenceTable, scores: Scores) -> dict[str, Numbers]:
    """The scores with NaN where a stopped sample lacks rollouts of an arm that the score is a mean over."""
    short = {arm: missing(table, arm) > 0 for arm in ARMS}
    masks = dict.fromkeys(IMAGE_SCORES, short["image"]) | {"acc_blind": short["blind"]}
    either = short["image"] | short["blind"]
    return {name: np.where(masks.get(name, either), np.nan, values) for name, values in scores.items()}


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
