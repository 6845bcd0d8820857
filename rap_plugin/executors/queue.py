"""The queue of batches for several workers: handed out by window, repeated after a death, halved when suspect."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from rap_plugin.executors.batches import Batch, halves

SUSPECT = 2
"""Worker deaths over one batch, the last of them alone, that make it and not chance the likely cause."""

COMPANY = (16, 4)
"""Where a worker has many batches at work: how many may be together after one death over them, and after two; later one."""


class BatchQueue:
    """Takes windows from a stream as workers ask for them, so that each window is read by as few workers as can be.

    A batch whose worker died runs again as it is, since a batch of another size may sum in another order, among at most
    `company` others of its kind, after as many deaths as that has numbers alone. When it has then taken a worker with it,
    its halves wait behind everything else, and so on down to one sample: `killers` holds those that killed a worker alone.
    """

    def __init__(self, batches: Iterable[Batch], company: tuple[int, ...] = ()) -> None:
        self._company = company
        self._stream: Iterator[Batch] = iter(batches)
        self._next: Batch | None = None
        """The first batch of the window that comes next."""
        self._open: OrderedDict[tuple[int, ...], deque[Batch]] = OrderedDict()
        self._untouched: tuple[int, ...] = ()
        """The window that was read last, while nobody has got a batch of it."""
        self._repeats: deque[Batch] = deque()
        self._suspects: deque[Batch] = deque()
        self.killers: list[Batch] = []

    def take(self, window: tuple[int, ...], beside: Collection[Batch] = (), room: int | None = None) -> Batch | None:
        """The next batch for a worker that has this window in memory, None when nothing waits that it may get.

        `beside` are the batches that it has at work: one over which a worker died shares a worker with none that is above
        suspicion. `room` is the number of tokens that the batch may have.
        """
        if beside and any(batch.deaths for batch in beside):
            return self._pop(self._repeats, beside, room)
        if self._repeats and not beside:
            return self._pop(self._repeats, beside, room)
        if window not in self._open:
            # A new window; at the end of the stream, help where the most is left.
            window = (
                self._untouched
                or self._next_window()
                or max(self._open, key=lambda known: len(self._open[known]), default=())
            )
        if window not in self._open:
            return self._pop(self._suspects, beside, room)
        batches = self._open[window]
        batch = _pop(batches, room)
        if batch is not None and window == self._untouched:
            self._untouched = ()
        if not batches:
            del self._open[window]
        return batch

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._repeats or self._open or self._suspects or self._peek())

    def died(self, batch: Batch, *, alone: bool = True) -> None:
        """Takes a batch back that a worker had when it died, alone or among others."""
        batch = replace(batch, deaths=batch.deaths + 1)
        if batch.deaths < SUSPECT or not alone:
            self._repeats.append(batch)
        elif len(batch.items) > 1:
            self._suspects.extend(replace(half, deaths=SUSPECT) for half in halves(batch))
        else:
            self.killers.append(batch)

    def _pop(self, waiting: deque[Batch], beside: Collection[Batch], room: int | None) -> Batch | None:
        """The first of those over which a worker died, if it may join the batches at work."""
        if waiting and len(beside) < min(self._together(one) for one in (*beside, waiting[0])):
            return _pop(waiting, room)
        return None

    def _together(self, batch: Batch) -> int:
        """How many batches may be at work together with this one, over which a worker has died."""
        return self._company[batch.deaths - 1] if 0 < batch.deaths <= len(self._company) else 1

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
        self._untouched = first.window
        return first.window


def _pop(batches: deque[Batch], room: int | None) -> Batch | None:
    return batches.popleft() if batches and (room is None or batches[0].tokens <= room) else None
