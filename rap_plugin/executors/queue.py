"""The queue of batches for several workers: handed out by window, repeated after a death, halved when suspect."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from rap_plugin.executors.batches import Batch, halves

SUSPECT = 2
"""Worker deaths over one batch, the last of them alone, that make it and not chance the likely cause."""


class BatchQueue:
    """Takes windows from a stream as workers ask for them, so that each window is read by as few workers as can be.

    A batch whose worker died runs again as it is, since a batch of another size may sum in another order. When it
    has taken a second worker with it, its halves wait behind everything else, and so on down to one sample:
    `killers` holds those that killed a worker alone.
    """

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._stream: Iterator[Batch] = iter(batches)
        self._next: Batch | None = None
        """The first batch of the window that comes next."""
        self._open: OrderedDict[tuple[int, ...], deque[Batch]] = OrderedDict()
        self._repeats: deque[Batch] = deque()
        self._suspects: deque[Batch] = deque()
        self.killers: list[Batch] = []

    def take(self, window: tuple[int, ...], *, alone: bool = True) -> Batch | None:
        """The next batch for a worker that has this window in memory, None when nothing waits.

        A worker that has other batches before it (not `alone`) gets none that a worker died over.
        """
        if self._repeats and alone:
            return self._repeats.popleft()
        if window not in self._open:
            # A new window; at the end of the stream, help where the most is left.
            window = self._next_window() or max(self._open, key=lambda known: len(self._open[known]), default=())
        if window not in self._open:
            return self._suspects.popleft() if self._suspects and alone else None
        batches = self._open[window]
        batch = batches.popleft()
        if not batches:
            del self._open[window]
        return batch

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._repeats or self._open or self._suspects or self._peek())

    def died(self, batch: Batch) -> None:
        """Takes a batch back that a worker had when it died."""
        batch = replace(batch, deaths=batch.deaths + 1)
        if batch.deaths < SUSPECT:
            self._repeats.append(batch)
        elif len(batch.items) > 1:
            self._suspects.extend(replace(half, deaths=SUSPECT) for half in halves(batch))
        else:
            self.killers.append(batch)

    def _peek(self) -> Batch | None:
        if self._next is None:
            self._next = next(self._stream, None)
        return self._next

    def _next_window(self) -> tuple[int, ...] | None:
        first = self._peek()
        if first is None:
            return None
        batches: deque[Batch] = deque()
        while (batch := self._peek()) is not None and batch.window == first.window:
            batches.append(batch)
            self._next = None
        self._open[first.window] = batches
        return first.window
