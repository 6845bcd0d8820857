"""Reads images and builds prompts in other threads, before an engine asks for them, within a bound of memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from rap_plugin.executors.batches import Batch, SampleReader
from rap_plugin.samples.sample import Sample

AHEAD_BYTES = 256 << 20
"""Decoded pictures that wait for an engine: three bytes a pixel. One batch may be larger, and then waits alone."""

AHEAD_BATCHES = 64
"""Batches that wait for an engine: text has no pictures to be counted."""

BUILDERS = 4
"""Threads that decode pictures, which lets go of Python's lock."""

CLOSE_TIMEOUT_S = 5.0
"""For the read that is under way when nobody wants it any more."""

Built = TypeVar("Built")
Build = Callable[[Batch, Sequence[Sample], Sequence[Sample | None]], Built]


class ReadAhead(Generic[Built]):
    """Batches, each with what `build` makes of it and its samples, in the order of the stream."""

    def __init__(
        self, batches: Iterable[Batch], reader: SampleReader, build: Build[Built], most_bytes: int = AHEAD_BYTES
    ) -> None:
        self._batches, self._reader, self._build, self._most_bytes = iter(batches), reader, build, most_bytes
        self._waiting: deque[tuple[Batch, int, Future[Built]]] = deque()
        self._bytes = 0
        self._ended = self._closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._builders = ThreadPoolExecutor(BUILDERS, "rap-prompts")
        self._thread = threading.Thread(target=self._run, name="rap-reading", daemon=True)
        self._thread.start()

    def wait(self) -> Batch | None:
        """The next batch as soon as it is built, None at the end of the stream. Raises what reading has raised."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            head = self._waiting[0] if self._waiting else None
        if head is not None:
            wait([head[2]])
            return head[0]
        if self._error is not None:
            raise self._error
        return None

    def peek(self) -> Batch | None:
        """The next batch if it is ready, None otherwise."""
        with self._changed:
            return self._waiting[0][0] if self._waiting and self._waiting[0][2].done() else None

    def take(self) -> tuple[Batch, Built]:
        """The next batch, after `wait` or `peek` has shown it. Raises what building it has raised."""
        with self._changed:
            batch, size, built = self._waiting[0]
        result = built.result()
        with self._changed:
            self._waiting.popleft()
            self._bytes -= size
            self._changed.notify_all()
        return batch, result

    def close(self) -> None:
        """Ends the threads, wherever they are."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._builders.shutdown(wait=False, cancel_futures=True)
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        try:
            for batch in self._batches:
                samples, partners = self._reader.samples(batch), self._reader.partners(batch)
                if not self._add(batch, samples, partners):
                    return
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _add(self, batch: Batch, samples: Sequence[Sample], partners: Sequence[Sample | None]) -> bool:
        """Has a batch built as soon as there is room for it; False where nobody wants it any more."""
        size = picture_bytes([*samples, *filter(None, partners)])
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._waiting or self._has_room(size))
            if self._closed:
                return False
            self._bytes += size
            self._waiting.append((batch, size, self._builders.submit(self._build, batch, samples, partners)))
            self._changed.notify_all()
        return True

    def _has_room(self, size: int) -> bool:
        return self._bytes + size <= self._most_bytes and len(self._waiting) < AHEAD_BATCHES


def picture_bytes(samples: Iterable[Sample]) -> int:
    """What the samples' pictures take when they are decoded."""
    return sum(3 * width * height for sample in samples for width, height in sample.image_sizes)
