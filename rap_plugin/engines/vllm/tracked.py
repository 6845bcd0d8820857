"""Requests whose attention is wanted: the queries and keys that a worker keeps of them, within a bound of bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rap_plugin.engines.vllm.row_pool import RowPool

if TYPE_CHECKING:
    from torch import Tensor

NO_ROOM = "no room for its queries and keys beside those of the other responses"
"""Why a response was given up that can be read alone."""


@dataclass(eq=False, slots=True)
class TrackedRequest:
    """One request, and what was seen of it."""

    key: str
    first: int
    """Position of the first row that is wanted."""
    blocks: list[int]
    """Of the KV cache."""
    computed: int = 0
    """Tokens that the model has read."""
    query_rows: list[int] = field(default_factory=list)
    """Rows of the pool: one per position from `first` on, without a gap."""
    key_rows: list[int] = field(default_factory=list)
    key_count: int = 0
    """Positions, from 0 on, whose keys lie in `key_rows`: set when the request has ended."""
    lost: str = ""
    """Why it was given up; empty while it is kept."""

    @property
    def next(self) -> int:
        """Position of the first row that was not seen yet."""
        return self.first + len(self.query_rows)


@dataclass(frozen=True, slots=True)
class PlannedRows:
    """Positions begin .. stop - 1 of a request whose queries one step computes."""

    tracked: TrackedRequest
    begin: int
    stop: int


class TrackedRequests:
    """All tracked requests of one worker, with their queries and keys in one pool.

    Where the pool is full, running requests with the fewest rows are given up first: they get a reason
    instead of a number and are read again in a pass of their own. Requests that have ended are never given up.
    """

    def __init__(self, pool: RowPool, kv_heads: int, head_size: int) -> None:
        self.pool = pool
        self.running: dict[str, TrackedRequest] = {}
        """By vLLM's id of the request."""
        self.ended: dict[str, TrackedRequest] = {}
        """By our key, until `forget`."""
        self._key_shape = (kv_heads, head_size)

    def reserve(self, planned: Sequence[PlannedRows]) -> list[PlannedRows]:
        """Takes rows for what is planned, in order; returns the plans of the requests that were not given up."""
        planned = [rows for rows in planned if not rows.tracked.lost]
        while planned:
            taken = self.pool.take(sum(rows.stop - rows.begin for rows in planned))
            if taken is not None:
                done = 0
                for rows in planned:
                    count = rows.stop - rows.begin
                    rows.tracked.query_rows += taken[done : done + count]
                    done += count
                return planned
            self._give_up_one({rows.tracked: rows.stop - rows.begin for rows in planned})
            planned = [rows for rows in planned if not rows.tracked.lost]
        return []

    def write(self, planned: Sequence[PlannedRows], queries: Tensor) -> None:
        """Copies the queries (n, H, d) of what was reserved, in order."""
        rows = [
            row
            for one in planned
            for row in one.tracked.query_rows[one.begin - one.tracked.first : one.stop - one.tracked.first]
        ]
        self.pool.write(rows, queries.flatten(1))

    def end(self, identity: str, keys: Callable[[TrackedRequest, int], Tensor]) -> None:
        """A request has ended: its first n keys, `keys(tracked, n)` of shape (n, Hkv, d), are copied."""
        tracked = self.running.pop(identity, None)
        if tracked is None:
            return
        self.ended[tracked.key] = tracked
        count = min(tracked.computed, tracked.next)
        while not tracked.lost:
            rows = self.pool.take(self.key_rows(count))
            if rows is not None:
                tracked.key_rows, tracked.key_count = rows, count
                self.pool.write(rows, self._as_rows(keys(tracked, count)))
                return
            if not self._give_up_one():
                self.lose(tracked, NO_ROOM)

    def forget(self, key: str) -> None:
        """A request is not wanted any more."""
        tracked = self.ended.pop(key, None)
        if tracked is not None:
            self._release(tracked)

    def lose(self, tracked: TrackedRequest, reason: str) -> None:
        """Gives a request up: it gets a reason, never a number."""
        tracked.lost = reason
        self._release(tracked)

    def lose_all(self, reason: str) -> None:
        """Gives every running request up."""
        for tracked in self.running.values():
            if not tracked.lost:
                self.lose(tracked, reason)

    def key_rows(self, count: int) -> int:
        """Rows of the pool that the keys of `count` positions need."""
        return -(-count * self._key_shape[0] * self._key_shape[1] // self.pool.width)

    def queries(self, tracked: TrackedRequest, rows: int) -> Tensor:
        """(rows, H, d): a copy of the first rows' queries."""
        return self.pool.read(tracked.query_rows[:rows]).view(rows, -1, self._key_shape[1])

    def keys(self, tracked: TrackedRequest, count: int) -> Tensor:
        """(count, Hkv, d): a copy of the first keys."""
        flat = self.pool.read(tracked.key_rows[: self.key_rows(count)]).flatten()
        return flat[: count * self._key_shape[0] * self._key_shape[1]].view(count, *self._key_shape)

    def _as_rows(self, keys: Tensor) -> Tensor:
        from torch.nn.functional import pad

        flat = keys.flatten()
        return pad(flat, (0, -len(flat) % self.pool.width)).view(-1, self.pool.width)

    def _give_up_one(self, planned: Mapping[TrackedRequest, int] | None = None) -> bool:
        """Gives up the request with the fewest rows, planned ones included; False where none holds or needs any."""
        planned = planned or {}
        kept = [*planned, *(tracked for tracked in self.running.values() if tracked.query_rows)]
        kept = [tracked for tracked in kept if not tracked.lost]
        if not kept:
            return False
        # Of those with equally few, the last one: the others are nearer to their end.
        self.lose(min(reversed(kept), key=lambda one: len(one.query_rows) + planned.get(one, 0)), NO_ROOM)
        return True

    def _release(self, tracked: TrackedRequest) -> None:
        self.pool.give_back([*tracked.query_rows, *tracked.key_rows])
        tracked.query_rows, tracked.key_rows, tracked.key_count = [], [], 0
