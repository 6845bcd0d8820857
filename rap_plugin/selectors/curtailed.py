"""Deciding over a table in which sampling stopped for some samples: what is settled is used, nothing is made up."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from rap_plugin.config import RunConfig
from rap_plugin.evidence.table import ArmCounts, EvidenceTable, Numbers
from rap_plugin.rollout import Arm
from rap_plugin.scorers.base import Score, arms_of
from rap_plugin.selectors.base import Decision, Mask, Scores, Selector
from rap_plugin.selectors.row_count import bring_to_size
from rap_plugin.selectors.stopping import find_stopping_rule, missing


def compute_scores(table: EvidenceTable, config: RunConfig, scorers: Mapping[str, Score]) -> dict[str, Numbers]:
    """Every score whose arms were sampled, by name."""
    return {name: scorer(table, config) for name, scorer in scorers.items() if set(arms_of(scorer)) <= set(table.arms)}


def count_open(table: EvidenceTable, config: RunConfig, scorers: Mapping[str, Score]) -> int:
    """Samples whose verdict under this configuration could still change with the rollouts that were not sampled."""
    if not table.incomplete:
        return 0
    rule = find_stopping_rule(config)
    if rule is None:
        return table.incomplete
    settled = rule.settled(table, compute_scores(table, config, scorers), config)
    return table.pending + int((~settled).sum())


def decide(
    table: EvidenceTable, config: RunConfig, scorers: Mapping[str, Score], selector: Selector
) -> tuple[Decision, Scores]:
    """The selector's decision, brought to a size that fits, and the scores, where no verdict is open (`count_open` is 0).

    A stopped sample has NaN for the scores that would need its missing rollouts, and a reason that counts those it has.
    """
    scores = compute_scores(table, config, scorers)
    if not table.incomplete:
        decision = selector(table, scores, config)
        bring_to_size(decision, table, scores, config.selection)
        return decision, scores
    filled = complete(table)
    decision = selector(filled, compute_scores(filled, config, scorers), config)
    explain(table, decision.reasons)
    return decision, without_means(table, scores, {name: arms_of(score) for name, score in scorers.items()})


def stopped(table: EvidenceTable) -> Mask:
    """(N,) True where a sample has fewer rollouts than M in an arm."""
    short = (missing(table, "image") > 0) | (missing(table, "blind") > 0)
    return short & (table.images > 0)


def complete(table: EvidenceTable) -> EvidenceTable:
    """The table with every missing rollout counted as wrong.

    Where every verdict is settled, any completion gives the verdicts of the full run, and this is one.
    """
    arms = {}
    for arm in table.arms:
        counts, left = table.arms[arm], missing(table, arm)
        grown = {name: getattr(counts, name) + left for name in ("stored", "answered", "graded")}
        arms[arm] = dataclasses.replace(counts, **grown)
    return dataclasses.replace(table, arms=arms)


def without_means(table: EvidenceTable, scores: Scores, arms: Mapping[str, tuple[Arm, ...]]) -> dict[str, Numbers]:
    """The scores with NaN where a stopped sample lacks rollouts of an arm that the score depends on.

    `arms` names those arms by score.
    """
    short = {arm: missing(table, arm) > 0 for arm in table.arms}
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
    total = int(pictured.sum()) * table.rollouts * len(table.arms)
    left = sum(int(missing(table, arm)[pictured].sum()) for arm in table.arms)
    return f"curtailment left {left:,} of {total:,} rollouts unsampled ({left / max(total, 1):.0%}); every verdict is that of the full run"


def _counted(counts: ArmCounts, i: int) -> str:
    return f"{counts.right[i]} of {counts.graded[i]} right"
