"""Evidence that is not there yet, drawn from the posterior: what the full run could look like, given what was sampled.

A missing rollout is right as often as the sample's posterior says. What else a rollout has (its form, its length, its
attention) is taken from a stored rollout of the same arm that is as right or wrong: one of the sample's own, or with the
weight of one more rollout any of the pool's (a Polya urn).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rap_plugin.evidence.rollouts import RolloutColumns
from rap_plugin.evidence.table import ArmCounts, Counts, EvidenceTable, Numbers
from rap_plugin.posterior.beta import Posterior, fit
from rap_plugin.rollout import Arm

Rollouts = Mapping[Arm, RolloutColumns]
Goals = Mapping[Arm, Counts]
"""(N,) by arm: so many of a sample's first rollouts count."""


def first_rollouts(rollouts: Rollouts, goals: Goals) -> dict[Arm, RolloutColumns]:
    """The rollouts with everything behind a sample's goal left out."""
    found: dict[Arm, RolloutColumns] = {}
    for arm, columns in rollouts.items():
        size = columns.counts["stored"].shape[1]
        seen = np.arange(size) < goals[arm][:, None]
        counts = {name: values * seen for name, values in columns.counts.items()}
        statistics = {name: np.where(seen, values, np.nan) for name, values in columns.statistics.items()}
        found[arm] = RolloutColumns(counts, statistics)
    return found


def counted(table: EvidenceTable, rollouts: Rollouts) -> EvidenceTable:
    """The table with the counts and statistics of these rollouts."""
    arms = {arm: ArmCounts(**{name: v.sum(axis=1) for name, v in rollouts[arm].counts.items()}) for arm in table.arms}
    statistics = {name: reduced(rollouts["image"].statistics[name[0]], name[1]) for name in table.statistics}
    return replace(table, arms=arms, statistics=statistics)


def reduced(values: Numbers, over: str) -> Numbers:
    """max or mean over the measured rollouts of each row; NaN where none is."""
    measured = ~np.isnan(values)
    none = ~measured.any(axis=1)
    if over == "max":
        found: Numbers = np.where(measured, values, -np.inf).max(axis=1)
    else:
        found = np.where(measured, values, 0.0).sum(axis=1) / np.maximum(measured.sum(axis=1), 1)
    found[none] = np.nan
    return found


@dataclass(frozen=True)
class _Donors:
    """Stored rollouts of one arm with one outcome, as flat numbers of an (N, M) array, by sample in the order of ids."""

    flat: Counts
    start: Counts
    """(N,) where a sample's own begin."""
    own: Counts
    """(N,) how many it has."""


class Completions:
    """Full tables that the rollouts at hand could grow into.

    `table` names the samples; its own counts are not read. Draws are numbered: the same seed and number give the same
    table, whatever the order of the samples.
    """

    def __init__(self, table: EvidenceTable, rollouts: Rollouts, seed: int) -> None:
        self.table, self.rollouts, self.seed = table, rollouts, seed
        self.order: NDArray[np.int64] = np.argsort(table.ids, kind="stable")
        counts = [(r.counts["right"].sum(axis=1), r.counts["graded"].sum(axis=1)) for r in rollouts.values()]
        self.posterior: Posterior = fit(*(np.stack(part, axis=1) for part in zip(*counts, strict=True)))
        self._donors = {
            arm: tuple(self._find(columns, outcome) for outcome in (0, 1)) for arm, columns in rollouts.items()
        }

    def draw(self, number: int, *, fresh: bool = False) -> tuple[EvidenceTable, dict[Arm, Counts]]:
        """Completion `number`, and by arm the outcomes of all rollouts in it, (N, M) zeros and ones.

        `fresh` draws every rollout anew: another full run of the same model on the same pool.
        """
        random = np.random.Generator(np.random.Philox(key=[self.seed, number]))
        success = self.posterior.draw(random, self.order)
        outcomes: dict[Arm, Counts] = {}
        full: dict[Arm, RolloutColumns] = {}
        for a, (arm, columns) in enumerate(self.rollouts.items()):
            stored = columns.counts["stored"] > 0
            missing = np.ones_like(stored) if fresh else ~stored
            lots = np.empty((3, *stored.shape))
            lots[:, self.order] = random.random(lots.shape)
            right = np.where(missing, lots[0] < success[:, a : a + 1], columns.counts["right"] > 0)
            outcomes[arm] = right.astype(np.int64)
            full[arm] = self._filled(arm, columns, missing, right, lots[1], lots[2])
        return counted(self.table, full), outcomes

    def _find(self, columns: RolloutColumns, outcome: int) -> _Donors:
        graded, right = columns.counts["graded"] > 0, columns.counts["right"] > 0
        mask = (graded & (right == bool(outcome)))[self.order]
        rows, places = np.nonzero(mask)
        own = np.zeros(len(self.order), dtype=np.int64)
        own[self.order] = mask.sum(axis=1)
        start = np.zeros_like(own)
        start[self.order] = np.cumsum(mask.sum(axis=1)) - mask.sum(axis=1)
        return _Donors(self.order[rows] * mask.shape[1] + places, start, own)

    def _filled(
        self, arm: Arm, columns: RolloutColumns, missing: NDArray[np.bool_], right: NDArray[np.bool_], *lots: Numbers
    ) -> RolloutColumns:
        """The columns with every missing rollout filled from a donor of its outcome."""
        counts = {name: values.copy() for name, values in columns.counts.items()}
        statistics = {name: values.copy() for name, values in columns.statistics.items()}
        for name, values in counts.items():
            values[missing] = 1 if name in ("stored", "answered", "graded") else 0
        for outcome, donors in enumerate(self._donors[arm]):
            at = np.nonzero(missing & (right == bool(outcome)))
            if outcome:
                for name in ("right", "exact", "high"):
                    counts[name][at] = 1
            for values in statistics.values():
                values[at] = np.nan
            if not len(donors.flat):
                continue
            own = donors.own[at[0]]
            mine = lots[0][at] * (own + 1) < own
            offset = np.where(mine, donors.start[at[0]], 0)
            places = offset + (lots[1][at] * np.where(mine, own, len(donors.flat))).astype(np.int64)
            given = donors.flat[places]
            for name in ("exact", "high", "tokens", "cut", "well_formatted"):
                counts[name][at] = columns.counts[name].reshape(-1)[given]
            for name, values in statistics.items():
                values[at] = columns.statistics[name].reshape(-1)[given]
        return RolloutColumns(counts, statistics)
