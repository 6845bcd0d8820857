"""Following inside a trainer: batches are numbered, read ahead of their rewards, and go on after a checkpoint.

A trainer reads batch k before the rewards of the batches right before it are known. So the rows of a batch come from the rewards of those that
are at least `lag` behind it, however early it is read: every process, and a training that was interrupted, finds the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rap_plugin.errors import RapError, one_line
from rap_plugin.evidence.table import Numbers
from rap_plugin.posterior.attention import PSI_OPTIONS, AttentionTest
from rap_plugin.posterior.following import (
    Beliefs,
    FollowOptions,
    begin,
    choose,
    instalment,
    measurements,
    observe,
    observe_attention,
    observe_blind,
    renewals,
    step_metrics,
    with_evidence,
)
from rap_plugin.run_dir import files
from rap_plugin.run_dir.about import config_of, read_run
from rap_plugin.run_dir.files import replacing

STATE = "rap_follow.parquet"
"""The state's file, in a trainer's checkpoint."""

COLUMNS = ("group", "right", "asked", "blind_right", "blind_asked", "seen")
"""What every state has."""

LATER = ("biased", "measured")
"""What states from before attention was renewed lack: nothing was measured."""

Rewards = Mapping[int, Sequence[float]]
"""By row, 1 for a right response and 0 for a wrong one; of attention, 1 for a biased one and 0 for another."""


@dataclass(frozen=True)
class Told:
    """The rewards of one batch, summed by row; those without the image as well, and what was measured, where there was an
    instalment of it.
    """

    rows: list[int]
    right: list[float]
    asked: list[float]
    blind_rows: list[int] = field(default_factory=list)
    blind_right: list[float] = field(default_factory=list)
    blind_asked: list[float] = field(default_factory=list)
    measured_rows: list[int] = field(default_factory=list)
    biased: list[float] = field(default_factory=list)
    measured: list[float] = field(default_factory=list)

    @staticmethod
    def of(rewards: Rewards, blind: Rewards, attention: Rewards) -> Told:
        """Sums them."""
        return Told(*_summed(rewards), *_summed(blind), *_summed(attention))


class Follower:
    """Chooses the rows of numbered batches (0, 1, ..) and is told their rewards in that order."""

    def __init__(self, beliefs: Beliefs, options: FollowOptions, size: int, lag: int = 1, pool: str = "") -> None:
        if size < 1 or lag < 1:
            raise RapError(f"a batch of {size} prompts that lags {lag} batches behind its rewards cannot be followed")
        self.options, self.size, self.lag = options, size, lag
        self.pool = pool
        """What tells these rows from others of the same number and groups, where the host knows it."""
        self._base = beliefs
        """Beliefs that know of the first `step` batches."""
        self._told: list[Told] = []
        """Those after them."""

    @property
    def batches(self) -> int:
        """How many batches have told their rewards."""
        return self._base.step + len(self._told)

    def rows_of(self, batch: int) -> list[int]:
        """The rows of a batch. Raises RapError where rewards that it follows from are not known yet, or forgotten."""
        known = max(0, batch - self.lag + 1)
        if known > self.batches:
            raise RapError(
                f"batch {batch} is read before batch {known - 1} has its rewards: data is read further ahead than "
                f"{self.lag} batches; set the trainer's data loader workers to 0"
            )
        return choose(self.beliefs(known), self.options, self.size, batch).tolist()

    def renewals_of(self, batch: int, multiple: int = 1) -> list[int]:
        """The rows of a batch to ask without their image, once for every time that they are named. Their number is a `multiple`."""
        rollouts = instalment(self.options, self.size, batch, multiple)
        if not rollouts:
            return []
        return renewals(self.beliefs(max(0, batch - self.lag + 1)), self.options, self.rows_of(batch), rollouts)

    def measurements_of(self, batch: int) -> list[int]:
        """The rows of a batch whose attention is measured, each named as often as responses of it are."""
        if not self.options.renew_attention:
            return []
        return measurements(self.beliefs(max(0, batch - self.lag + 1)), self.options, self.rows_of(batch), batch)

    def tell(
        self, rewards: Rewards, blind: Rewards | None = None, attention: Rewards | None = None
    ) -> dict[str, float]:
        """The rewards of the next batch, those of its rows that were asked without their image, and what was measured of
        its responses' attention; returns the step's metrics.
        """
        told = Told.of(rewards, blind or {}, attention or {})
        metrics = step_metrics(self.beliefs(self.batches), self.options, told.rows, told.right, told.asked)
        if self.options.renew:
            metrics["rap/follow/blind_rollouts"] = sum(told.blind_asked)
        if self.options.renew_attention:
            measured = metrics["rap/follow/attention_measured"] = sum(told.measured)
            if measured:
                metrics["rap/follow/attention_biased"] = sum(told.biased) / measured
        self._told.append(told)
        # A batch that is read again after a checkpoint follows from what was known so far back.
        while len(self._told) > self.lag + 1:
            self._base = self._after(self._base, self._told.pop(0))
        return metrics

    def beliefs(self, batches: int) -> Beliefs:
        """What is believed after the rewards of so many batches."""
        if not self._base.step <= batches <= self.batches:
            raise RapError(f"the rewards of the first {batches} batches are not at hand any more")
        found = self._base
        for told in self._told[: batches - self._base.step]:
            found = self._after(found, told)
        return found

    def save(self, path: Path) -> None:
        """Writes the state as Parquet: a row per sample, the last batches and the options in the file's metadata."""
        with replacing(path) as draft:
            draft.write_bytes(self.dumps())

    def dumps(self) -> bytes:
        """The same as bytes, for a trainer that keeps a checkpoint's parts itself."""
        columns = {name: pa.array(getattr(self._base, name)) for name in (*COLUMNS, *LATER)}
        about = {
            "step": self._base.step,
            "told": [asdict(told) for told in self._told],
            "size": self.size,
            "pool": self.pool,
            "options": asdict(self.options),
        }
        table = pa.table(columns).replace_schema_metadata({"rap_follow": json.dumps(about)})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        return bytes(sink.getvalue())

    def load(self, path: Path) -> None:
        """Goes on from a saved state. Raises RapError where it is of another pool or of other batches."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise RapError(f"{path}: no state of following ({one_line(error)})") from None
        self.loads(content, str(path))

    def loads(self, content: bytes, where: str) -> None:
        """The same from `dumps`; errors name `where`."""
        try:
            table = pq.read_table(pa.BufferReader(content))
            about: dict[str, Any] = json.loads((table.schema.metadata or {})[b"rap_follow"])
            columns = {name: table.column(name).to_numpy() for name in COLUMNS}
            columns |= {name: table.column(name).to_numpy() for name in LATER if name in table.column_names}
            told = [Told(**one) for one in about["told"]]
            step, size, pool = int(about["step"]), int(about["size"]), str(about.get("pool", ""))
        except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
            raise RapError(f"{where}: no state of following ({one_line(error)})") from None
        same = len(table) == len(self._base) and np.array_equal(columns["group"], self._base.group)
        same = same and (not pool or not self.pool or pool == self.pool)
        if not same or size != self.size:
            raise RapError(
                f"{where}: followed {len(table)} rows in batches of {size}; this training has another pool or batch"
            )
        self._base, self._told = replace(begin(columns["group"]), **columns, step=step), told

    def _after(self, beliefs: Beliefs, told: Told) -> Beliefs:
        after = observe(beliefs, self.options, told.rows, told.right, told.asked)
        if self.options.renew:
            after = observe_blind(after, self.options, told.blind_rows, told.blind_right, told.blind_asked)
        if self.options.renew_attention:
            after = observe_attention(after, self.options, told.measured_rows, told.biased, told.measured)
        return after


def _summed(rewards: Rewards) -> tuple[list[int], list[float], list[float]]:
    rows = sorted(rewards)
    return rows, [float(sum(rewards[row])) for row in rows], [float(len(rewards[row])) for row in rows]


def beliefs_of_run(run: Path, groups: Sequence[int], test: AttentionTest | None = None) -> Beliefs:
    """Beliefs from the evidence of a finished `rap select` over the same rows. Raises RapError where there is none.

    With a `test`, the psi of a sample counts as one measured response.
    """
    names = ["rap_row", *(f"rap_{what}_{arm}" for arm in ("image", "blind") for what in ("right", "rollouts"))]
    try:
        scores = pq.read_table(run / files.SCORES, columns=names)
    except (OSError, pa.ArrowInvalid) as error:
        raise RapError(f"{run}: no finished run of rap select to start from ({one_line(error)})") from None
    columns = {name: np.nan_to_num(scores.column(name).to_numpy(zero_copy_only=False).astype(float)) for name in names}
    rows = columns["rap_row"].astype(np.int64)
    if len(rows) and rows.max() >= len(groups):
        raise RapError(f"{run}: holds row {rows.max()} of another pool; this one has {len(groups)} rows")
    arms = [(columns[f"rap_right_{arm}"], columns[f"rap_rollouts_{arm}"]) for arm in ("image", "blind")]
    attention = None if test is None else _attention_of_run(run, test)
    return with_evidence(begin(groups), rows.tolist(), arms[0], arms[1], attention)


def _attention_of_run(run: Path, test: AttentionTest) -> tuple[Numbers, Numbers] | None:
    """(biased, measured) of each row of a run's scores, of which psi was measured or not; None where it never is."""
    if "rap_log_psi" not in pq.read_schema(run / files.SCORES).names:
        return None
    log_psi = pq.read_table(run / files.SCORES, columns=["rap_log_psi"]).column(0).to_numpy(zero_copy_only=False)
    log_psi = log_psi.astype(float)
    measured = ~np.isnan(log_psi)
    if not measured.any():
        return None
    theirs = config_of(read_run(run), run).ace
    unlike = [name for name in PSI_OPTIONS if getattr(theirs, name) != getattr(test.ace, name)]
    if unlike:
        said = ", ".join(f"{name!r}: {getattr(theirs, name)!r}" for name in unlike)
        raise RapError(f"{run}: its psi is another one; give ace={{{said}}}, or decide the run again")
    return (log_psi > test.log_lambda_a).astype(float), measured.astype(float)
