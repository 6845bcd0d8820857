"""What a training comes to whose loader leaves out the last, smaller batch of an epoch: verl, EasyR1, TRL."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from rap_plugin.errors import Command, RapError
from rap_plugin.run_dir import files


@dataclass(frozen=True)
class EpochPlan:
    """How rows become optimizer steps."""

    batch: int
    """Prompts of a rollout batch."""
    samples: int
    """Responses per prompt."""
    mini_batch: int
    """Prompts of one optimizer step."""
    epochs: int
    passes: int = 1
    """Times that a rollout batch is trained on."""
    most: int | None = None
    """Rollout batches at most, over all epochs."""

    def line(self, rows: int) -> str:
        """Optimizer steps, rollout batches and responses of a training on so many rows."""
        batches = rows // self.batch * self.epochs
        batches = batches if self.most is None else min(batches, self.most)
        steps = batches * self.passes * -(-self.batch // self.mini_batch)
        return (
            f"{steps:,} optimizer step{'s' if steps != 1 else ''} in {self.epochs} epoch{'s' if self.epochs > 1 else ''}: "
            f"{batches:,} rollout batches, {batches * self.batch * self.samples:,} responses"
        )


def describe_plan(run: Path, plan: EpochPlan, *, fills: bool) -> list[str]:
    """A run's selection, and the training on it and on its whole pool, in lines of numbers.

    `fills`: the host brings fewer rows than a batch up to one batch itself. Raises RapError where the run is not finished,
    and where it is too small for a step.
    """
    selected, scores = run / files.SELECTED, run / files.SCORES
    if not selected.is_file() or not scores.is_file():
        raise RapError(
            f"{run}: the run is not finished (there is no {files.SELECTED}); make it with ", Command("rap select")
        )
    rows, pool = pq.read_metadata(selected).num_rows, pq.read_metadata(scores).num_rows
    size = max(rows, plan.batch) if fills else rows
    if size < plan.batch:
        raise RapError(
            f"{run}: {rows:,} rows are selected and a batch has {plan.batch:,}, so there would be no step; "
            f"`rap decide {run} --set selection.size_minimum={plan.batch}` fills up with the next best, or set a smaller batch"
        )
    filled = f", filled up to {size:,} with the next best" if size > rows else ""
    cost = json.loads((run / files.COST).read_text(encoding="utf-8"))["total"] if (run / files.COST).is_file() else {}
    return [
        *([f"scoring, done: {cost['rollouts']:,} responses"] if cost else []),
        f"selection: {rows:,} of {pool:,} usable rows ({rows / max(1, pool):.2%}){filled}",
        f"training on them: {plan.line(size)}",
        f"training on every row: {plan.line(pool)}",
    ]
