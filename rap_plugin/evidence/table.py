"""The evidence of a whole pool as columns: what scorers and selectors compute on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rap_plugin.evidence.damage import names_damage
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.variants import ENTROPY_COLUMN, STATISTIC_COLUMNS
from rap_plugin.rollout import Arm
from rap_plugin.samples.sample import Quarantined, Status

Numbers = NDArray[np.float64]
Counts = NDArray[np.int64]

HIGH_REWARD = 0.9
"""A reward from which the released RAP code calls a response right: 0.9 * accuracy + 0.1 * format."""


StatisticName = tuple[str, str]
"""An attention statistic of a sample: (column, reduction over its image rollouts, `max` or `mean`)."""

REDUCE = {"max": "max", "mean": "avg"}
"""How SQL calls a reduction over a sample's rollouts."""


@dataclass(frozen=True)
class ArmCounts:
    """Counts over the first M rollouts of one arm, one entry per sample of the table."""

    stored: Counts
    answered: Counts
    """Stored rollouts with a response (not overlong, not failed)."""
    graded: Counts
    """Answered rollouts whose verdict is right or wrong; ungradable and timed-out ones are left out."""
    right: Counts
    exact: Counts
    """Rollouts with a reward of exactly 1."""
    high: Counts
    """Rollouts with a reward of at least 0.9."""
    tokens: Counts
    cut: Counts
    """Responses that ended at the token limit."""
    well_formatted: Counts
    """Graded responses that are, as a whole, `<think>..</think> .. \\boxed{..}`."""

    @property
    def accuracy(self) -> Numbers:
        """Share of right answers among the graded ones; NaN where none is graded."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.right / np.where(self.graded > 0, self.graded, np.nan)


@dataclass(frozen=True)
class EvidenceTable:
    """Usable samples of a pool in pool order, N entries in every column.

    Only samples with a grade in each arm are here (text-only samples need none). The others are in `failed`, or
    `pending` while they lack rollouts; so rows in = table + ingest's quarantine + failed, once nothing is pending.
    """

    sample: Counts
    """Number of the sample in the store."""
    ids: NDArray[np.object_]
    rows: Counts
    images: Counts
    rollouts: int
    """M."""
    arms: Mapping[Arm, ArmCounts]
    failed: list[Quarantined]
    incomplete: int
    """Samples that still lack rollouts or grades; a selection over them would not be final."""
    pending: int
    """Those of them that are not in the table, because an arm has no grade yet."""
    probes: Mapping[Arm, int]
    """Numbers of the probes that the counts are of."""
    path: Path
    """The evidence store that this was read from."""
    statistics: Mapping[StatisticName, Numbers] = field(default_factory=dict, repr=False)
    """(N,) each: those that were asked for when the table was read."""

    def __len__(self) -> int:
        return len(self.sample)

    def statistic(self, column: str, over: str = "max") -> Numbers:
        """An attention statistic per sample over its image rollouts: the `max`, or the `mean` (of log psi).

        NaN where no rollout was measured. Raises KeyError for one that was not read; `with_statistics` reads more.
        """
        if (column, over) not in self.statistics:
            raise KeyError(f"{over} of {column} was not read with this table (evidence.table.with_statistics reads it)")
        return self.statistics[column, over]

    def only(self, here: NDArray[np.bool_]) -> EvidenceTable:
        """The table of the samples that the (N,) mask names, as if they were the whole pool."""
        arms = {
            arm: ArmCounts(*(getattr(counts, name)[here] for name in ArmCounts.__dataclass_fields__))
            for arm, counts in self.arms.items()
        }
        images = self.images[here]
        lacking = np.logical_or.reduce([counts.stored < self.rollouts for counts in arms.values()]) & (images > 0)
        return replace(
            self,
            sample=self.sample[here],
            ids=self.ids[here],
            rows=self.rows[here],
            images=images,
            arms=arms,
            failed=[],
            incomplete=int(lacking.sum()),
            pending=0,
            statistics={name: values[here] for name, values in self.statistics.items()},
        )

    def entropy(self) -> Numbers:
        """Mean attention entropy over the image rollouts, in nats; NaN where not measured."""
        return self.statistic(ENTROPY_COLUMN, "mean")


@names_damage
def read_table(
    store: EvidenceStore,
    probes: Mapping[Arm, int],
    rollouts: int,
    statistics: Sequence[StatisticName] = (),
    *,
    partial: bool = False,
) -> EvidenceTable:
    """Reads the columns: one scan over the numbers of all rollouts.

    `statistics` come with the same scan. `partial` keeps samples that lack a grade in some arm, for rules that can do
    with part of the rollouts.

    `rollouts` is M; stored rollouts with an index of M or above are left out, so that a run with a smaller
    M reads the same evidence.
    """
    pool = store.rows("SELECT row, sample, id, images FROM pool JOIN samples USING (sample) ORDER BY row")
    rows = np.array([entry[0] for entry in pool], dtype=np.int64)
    numbers = np.array([entry[1] for entry in pool], dtype=np.int64)
    ids = np.array([entry[2] for entry in pool], dtype=object)
    images = np.array([entry[3] for entry in pool], dtype=np.int64)
    if not all(isinstance(entry[2], str) for entry in pool):
        raise TypeError("the id of a sample is no text")
    del pool

    extra = "".join(f", {REDUCE[over]}({column})" for column, over in statistics)
    # A rollout has a reward exactly when its verdict is right or wrong.
    found = _matrix(
        store.query(
            "SELECT sample, probe, count(*), sum(status = 'ok'), count(reward), sum(verdict = 'right'), "
            f"sum(reward = 1.0), sum(reward >= {HIGH_REWARD}), sum(tokens), "
            "sum(finish = 'length' AND status = 'ok'), sum(coalesce(well_formatted, 0)), "
            "sum(grader IS NULL AND status = 'ok')"
            f"{extra} FROM rollouts WHERE rollout < ? GROUP BY sample, probe ORDER BY sample, probe",
            (rollouts,),
        ),
        12 + len(statistics),
    )
    arms: dict[Arm, ArmCounts] = {}
    ungraded = np.zeros(len(numbers))
    for arm in probes:
        part = found[found[:, 1] == probes[arm]]
        keys = part[:, 0].astype(np.int64)
        columns = [np.nan_to_num(_aligned(keys, part[:, i], numbers)) for i in range(2, 12)]
        arms[arm] = ArmCounts(*(column.astype(np.int64) for column in columns[:9]))
        ungraded += columns[9]

    image_part = found[found[:, 1] == probes["image"]]
    image_keys = image_part[:, 0].astype(np.int64)

    pictured = images > 0
    complete = np.logical_and.reduce([counts.stored >= rollouts for counts in arms.values()]) & (ungraded == 0)
    usable = np.logical_and.reduce([counts.graded > 0 for counts in arms.values()]) | partial
    keep = ~pictured | usable
    failed = [
        Quarantined(int(rows[i]), *_failure(store, probes, arms, i, int(numbers[i])), id=str(ids[i]))
        for i in np.flatnonzero(pictured & complete & ~usable)
    ]
    return EvidenceTable(
        sample=numbers[keep],
        ids=ids[keep],
        rows=rows[keep],
        images=images[keep],
        rollouts=rollouts,
        arms={
            arm: ArmCounts(*(getattr(counts, name)[keep] for name in ArmCounts.__dataclass_fields__))
            for arm, counts in arms.items()
        },
        failed=failed,
        incomplete=int((pictured & ~complete).sum()),
        pending=int((pictured & ~complete & ~usable).sum()),
        probes=probes,
        path=store.path,
        statistics={
            name: _aligned(image_keys, image_part[:, 12 + i], numbers[keep]) for i, name in enumerate(statistics)
        },
    )


@names_damage
def with_statistics(store: EvidenceStore, table: EvidenceTable, names: Sequence[StatisticName]) -> EvidenceTable:
    """The table with further attention statistics, read in one scan; those that it has stay as they are."""
    names = [name for name in names if name not in table.statistics]
    if not names:
        return table
    for column, _ in names:
        if column not in STATISTIC_COLUMNS:
            raise KeyError(f"{column} is not one of {STATISTIC_COLUMNS}")
    columns = ", ".join(f"{REDUCE[over]}({column})" for column, over in names)
    found = _matrix(
        store.query(
            f"SELECT sample, {columns} FROM rollouts WHERE probe = ? AND rollout < ? GROUP BY sample ORDER BY sample",
            (table.probes["image"], table.rollouts),
        ),
        1 + len(names),
    )
    keys = found[:, 0].astype(np.int64)
    read = {name: _aligned(keys, found[:, 1 + i], table.sample) for i, name in enumerate(names)}
    return replace(table, statistics={**table.statistics, **read})


def _failure(
    store: EvidenceStore, probes: Mapping[Arm, int], arms: Mapping[Arm, ArmCounts], i: int, sample: int
) -> tuple[Status, str]:
    arm = next(arm for arm in arms if not arms[arm].graded[i])
    if arms[arm].answered[i]:
        return "engine_error", f"no response of the {arm} arm could be graded (ungradable or timed out)"
    status, error = store.rows(
        "SELECT status, error FROM rollouts JOIN responses USING (sample, probe, rollout) "
        "WHERE sample = ? AND probe = ? LIMIT 1",
        (sample, probes[arm]),
    )[0]
    if status == "overlong":
        return "overlong", f"the prompt of the {arm} arm does not fit sampling.max_prompt_tokens; {error}"
    return "engine_error", f"the engine failed on the {arm} arm: {error}"


def _matrix(cursor: object, width: int) -> Numbers:
    parts = []
    while chunk := cursor.fetchmany(65536):  # type: ignore[attr-defined]
        parts.append(np.array(chunk, dtype=np.float64))
    return np.concatenate(parts) if parts else np.empty((0, width))


def _aligned(keys: Counts, values: Numbers, numbers: Counts) -> Numbers:
    """`values` by ascending `keys`, looked up for `numbers`; NaN where absent."""
    result = np.full(len(numbers), np.nan)
    if len(keys):
        at = np.minimum(np.searchsorted(keys, numbers), len(keys) - 1)
        there = keys[at] == numbers
        result[there] = values[at[there]]
    return result
