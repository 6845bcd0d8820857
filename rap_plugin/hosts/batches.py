"""Batch arithmetic: which numbers of rows a training can run on, without waiting for ever and without making no step.

A data-parallel training reduces its gradients once per micro-batch, so every rank has to run the same number of them. A
rollout batch that its ranks share unevenly makes them wait for each other for ever; a data set smaller than one batch
gives no step, or a division by zero. Which numbers fit is known before any model is loaded.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise

from rap_plugin.errors import Option, RapError
from rap_plugin.selectors.row_count import RowCounts


@dataclass(frozen=True)
class RolloutBatch:
    """How OpenRLHF shares the responses of one rollout batch among its ranks (`RayActorGroup.async_run_method_batch`).

    Responses are put together in experiences of `rollout_micro`, the experiences are dealt out in equal runs, and each
    rank trains on its responses in micro-batches of `train_micro`, the rest left out.
    """

    rows: int
    """Prompts of a full rollout batch."""
    samples: int
    """Responses per prompt."""
    rollout_micro: int
    train_micro: int
    train_batch: int
    """Responses of one optimizer step, over all ranks."""
    ranks: int
    """Data-parallel ranks of the trained model."""
    forward_ranks: tuple[int, ...] = ()
    """Data-parallel ranks of every model that reads the experiences, the trained one included."""
    sharded: bool = False
    """Weights are sharded over the ranks (ZeRO-3), so that they have to run the same number of forward passes too."""
    dynamic: bool = False
    """Micro-batches by tokens: OpenRLHF then makes their numbers equal itself."""

    def micro_batches(self, rows: int) -> list[int]:
        """Micro-batches of each rank for one batch of `rows` prompts."""
        responses = rows * self.samples
        experiences = -(-responses // self.rollout_micro)
        share = -(-experiences // self.ranks)
        edges = [min(share * rank * self.rollout_micro, responses) for rank in range(self.ranks + 1)]
        return [(end - start) // self.train_micro for start, end in pairwise(edges)]

    def fits(self, rows: int) -> bool:
        """Whether every rank gets the same work from one batch of `rows` prompts."""
        responses = rows * self.samples
        readers = {self.ranks, *self.forward_ranks}
        if self.dynamic:
            return responses >= max(readers)
        experiences = -(-responses // self.rollout_micro)
        if experiences < max(readers) or (self.sharded and any(experiences % ranks for ranks in readers)):
            return False
        found = set(self.micro_batches(rows))
        return len(found) == 1 and 0 not in found

    def row_counts(self) -> RowCounts | None:
        """The numbers of rows of a data set that fit; None where not even a full batch does.

        The multiple divides the batch, so the last, smaller batch of an episode is a multiple of it too.
        """
        if not self.fits(self.rows):
            return None
        minimum = -(-self.train_batch // self.samples)
        for step in range(1, self.rows + 1):
            if self.rows % step == 0 and all(self.fits(rows) for rows in range(step, self.rows, step)):
                return RowCounts(step, minimum)
        raise AssertionError("a full batch fits, so the batch itself is a multiple")

    def batches_that_fit(self, most: int = 3) -> list[int]:
        """The sizes of a rollout batch nearest to this one that fit, ascending; empty where none does."""
        near = chain.from_iterable((self.rows - away, self.rows + away) for away in range(1, _reach(self)))
        return sorted(islice((rows for rows in near if rows > 0 and self.fits(rows)), most))


def require_pool(counts: RowCounts, rows: int, size_by: str) -> None:
    """Raises RapError, with three numbers that fit, where a pool is too small to be brought to a number that fits."""
    if size_by != "repeat" and rows < counts.above(1):
        raise RapError(
            f"the pool has {rows} rows, and the training needs {counts} of them, as in {counts.examples()}; give a "
            "larger pool or smaller batches, or set ",
            Option("selection.size_by"),
            " to repeat",
        )


def repeat_rows(rows: Sequence[int], size: int, seed: int) -> list[int]:
    """`size` rows, ascending: all of them as equally often as it goes, the rest drawn by `seed`."""
    times, rest = divmod(size, len(rows))
    return sorted([*rows] * times + random.Random(f"rows {seed}").sample(list(rows), rest))


def _reach(batch: RolloutBatch) -> int:
    """Sizes repeat after so many rows: then every rank has one whole micro-batch more."""
    return batch.ranks * batch.rollout_micro * batch.train_micro * max((1, *batch.forward_ranks)) + batch.rows + 1
