"""The rollouts of a table one by one, as arrays: what a resampling draws from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rap_plugin.evidence.damage import names_damage
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.table import HIGH_REWARD, Counts, EvidenceTable, Numbers
from rap_plugin.rollout import Arm

COUNTED = {
    "stored": "1",
    "answered": "status = 'ok'",
    "graded": "reward IS NOT NULL",
    "right": "coalesce(verdict = 'right', 0)",
    "exact": "coalesce(reward = 1.0, 0)",
    "high": f"coalesce(reward >= {HIGH_REWARD}, 0)",
    "tokens": "tokens",
    "cut": "finish = 'length' AND status = 'ok'",
    "well_formatted": "coalesce(well_formatted, 0)",
}
"""What a single rollout adds to each field of ArmCounts, in SQL."""


LOOKED_UP = 20_000
"""Samples up to which each is looked up, instead of reading all rollouts of the store."""


@dataclass(frozen=True)
class RolloutColumns:
    """The M rollouts of one arm, one row per sample of the table, (N, M) each; 0 or NaN where one is not stored."""

    counts: Mapping[str, NDArray[np.int64]]
    """By field of ArmCounts: what the rollout adds to it."""
    statistics: Mapping[str, Numbers]
    """By column of the store."""


@names_damage
def read_rollouts(
    store: EvidenceStore, table: EvidenceTable, arm: Arm, statistics: Sequence[str] = ()
) -> RolloutColumns:
    """Reads one arm's rollouts; `statistics` names columns of attention statistics.

    Cost: those of the table where it is small, else one scan over all.
    """
    shape = (len(table), table.rollouts)
    counts = {name: np.zeros(shape, dtype=np.int64) for name in COUNTED}
    measured = {name: np.full(shape, np.nan) for name in statistics}
    by_number = np.argsort(table.sample)
    numbers: Counts = table.sample[by_number]
    few = len(table) <= LOOKED_UP
    found = store.query(
        f"SELECT sample, rollout, {', '.join((*COUNTED.values(), *statistics))} FROM rollouts WHERE probe = ? AND rollout < ?"
        + (" AND sample IN (SELECT value FROM json_each(?))" if few else ""),
        (table.probes[arm], table.rollouts, *([json.dumps(table.sample.tolist())] if few else ())),
    )
    while chunk := found.fetchmany(65536):
        values = np.array(chunk, dtype=np.float64)
        sample, rollout = values[:, 0].astype(np.int64), values[:, 1].astype(np.int64)
        near = np.minimum(np.searchsorted(numbers, sample), max(len(numbers) - 1, 0))
        there = numbers[near] == sample if len(numbers) else np.zeros(len(sample), dtype=bool)
        at = by_number[near[there]], rollout[there]
        for i, counted in enumerate(counts.values()):
            counted[at] = values[there, 2 + i].astype(np.int64)
        for i, statistic in enumerate(measured.values()):
            statistic[at] = values[there, 2 + len(counts) + i]
    return RolloutColumns(counts, measured)
