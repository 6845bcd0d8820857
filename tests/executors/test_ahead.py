"""Reading ahead: in order, within a bound of memory, and gone when nobody wants it any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest

from rap_plugin.errors import RapError
from rap_plugin.executors.ahead import AHEAD_BATCHES, ReadAhead
from rap_plugin.executors.batches import Batch
from rap_plugin.samples.sample import Sample
from tests.executors.sources import one_prompt


class FakeReader:
    """Samples with one picture of 10 x 10 pixels each: 300 bytes decoded."""

    def samples(self, batch: Batch) -> list[Sample]:
        return [Sample(item.id, item.row, "q", "g", (b"x",), image_sizes=((10, 10),)) for item in batch.items]

    def partners(self, batch: Batch) -> list[None]:
        return [None for _ in batch.items]


def wait_until(holds: Callable[[], bool]) -> None:
    """However long a busy machine takes; two minutes are an error."""
    until = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.001)


@pytest.mark.parametrize(("most_bytes", "ahead"), [(1000, 3), (300, 1), (1, 1), (1 << 30, AHEAD_BATCHES)])
def test_pictures_are_decoded_ahead_as_far_as_memory_allows_and_no_further(most_bytes: int, ahead: int) -> None:
    built: list[int] = []
    asked: list[None] = []
    beyond: list[int] = []

    def build(batch: Batch, samples: Sequence[Sample], partners: Any) -> int:
        built.append(samples[0].row)
        if samples[0].row >= len(asked) + ahead:
            beyond.append(samples[0].row)
        return samples[0].row

    batches = [one_prompt(number) for number in range(AHEAD_BATCHES + 20)]
    with closing(ReadAhead(batches, FakeReader(), build, most_bytes)) as reading:  # type: ignore[arg-type]
        taken = []
        while (head := reading.wait()) is not None:
            if len(taken) < 5:
                wait_until(lambda: len(built) >= len(taken) + ahead)
            asked.append(None)
            batch, row = reading.take()
            assert batch is head
            taken.append(row)
    assert taken == list(range(len(batches)))
    assert beyond == []


def test_a_stream_or_a_prompt_that_fails_is_raised_behind_what_came_before() -> None:
    def stream() -> Iterator[Batch]:
        yield one_prompt(0)
        raise RapError("row 1 is gone")

    with closing(ReadAhead(stream(), FakeReader(), lambda *_: "built")) as reading:  # type: ignore[arg-type]
        assert reading.wait() is not None
        assert reading.take()[1] == "built"
        with pytest.raises(RapError, match="row 1 is gone"):
            reading.wait()

    def build(*_: Any) -> None:
        raise ValueError("damaged")

    with closing(ReadAhead([one_prompt(0)], FakeReader(), build)) as reading:  # type: ignore[arg-type]
        assert reading.wait() is not None
        with pytest.raises(ValueError, match="damaged"):
            reading.take()


def test_closing_ends_the_threads_however_much_is_left() -> None:
    before = threading.active_count()
    reading = ReadAhead(map(one_prompt, range(10_000)), FakeReader(), lambda *_: 0, 900)  # type: ignore[arg-type]
    assert reading.wait() is not None
    reading.close()
    for thread in threading.enumerate():
        if thread.name.startswith("rap-prompts"):
            thread.join(120)
    assert threading.active_count() <= before
