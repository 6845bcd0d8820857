"""One engine for many callers at once: their rows share its batches, whenever they come."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from rap_plugin.engines.base import Engine
from rap_plugin.engines.turns import Segment, Turn
from rap_plugin.errors import one_line
from rap_plugin.rollout import Sampling
from rap_plugin.vlm_r3.boxes import STOPS
from rap_plugin.vlm_r3.driver import turn_engine
from rap_plugin.vlm_r3.loop import RegionRow

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Call:
    """One caller's row, and what is told of it: texts as they are written, then None when it has ended."""

    row: RegionRow
    streams: bool = False
    """Whether the caller wants to hear of a segment before it has ended."""
    told: queue.SimpleQueue[str | None] = field(default_factory=queue.SimpleQueue)
    _heard: str = ""
    """Of the running segment."""

    def __post_init__(self) -> None:
        if self.streams:
            self.row.turn.heard = self._hear

    def _hear(self, text: str) -> None:
        """Tells what is new of a segment; one that is written again from its beginning says nothing twice."""
        if len(text) > len(self._heard) and text.startswith(self._heard):
            self.told.put(text[len(self._heard) :])
            self._heard = text

    def end_segment(self, text: str, inserted: str) -> None:
        """Tells the rest of a segment and what was put in behind it."""
        self._hear(text)
        self._heard = ""
        if inserted:
            self.told.put(inserted)

    def cancel(self) -> None:
        """The caller has gone: the row takes no further place in a batch."""
        self.row.cancel()


class SharedEngine:
    """Runs an engine in a thread of its own; callers hand in rows. Rows of equal sampling settings share batches."""

    def __init__(self, engine: Engine, most_waiting: int) -> None:
        self._engine = engine
        self._most = most_waiting
        self._waiting: deque[tuple[Call, Sampling]] = deque()
        self._open = 0
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="rap-r3-engine", daemon=True)

    @property
    def open_calls(self) -> int:
        """Calls that wait or run."""
        return self._open

    def start(self) -> None:
        """Starts answering."""
        self._thread.start()

    def submit(self, call: Call, sampling: Sampling) -> bool:
        """Takes a call; False where too many are open already."""
        with self._changed:
            if self._open >= self._most or self._stopped:
                return False
            self._open += 1
            self._waiting.append((call, sampling))
            self._changed.notify()
            return True

    def stop(self) -> None:
        """Ends after the rows that are running."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join(timeout=60)

    # -- the engine's thread --------------------------------------------------------------------------------------

    def _work(self) -> None:
        engine = turn_engine(self._engine)
        while True:
            with self._changed:
                while not self._waiting and not self._stopped:
                    self._changed.wait()
                if self._stopped:
                    for call, _ in self._waiting:
                        self._end(call, "the server stops")
                    return
                sampling = self._waiting[0][1]
            calls = _OpenCalls(self, sampling)
            try:
                engine.continue_turns(calls, sampling, STOPS)
            except Exception as error:  # one broken batch must not end the server
                log.warning("the engine failed: %s", one_line(error))
                calls.fail(one_line(error))

    def next_of(self, sampling: Sampling, most: int) -> list[Call]:
        """The first calls that wait, at most so many, as long as they have these settings: nobody is overtaken."""
        taken: list[Call] = []
        with self._changed:
            while self._waiting and len(taken) < most and self._waiting[0][1] == sampling:
                taken.append(self._waiting.popleft()[0])
        return taken

    def _end(self, call: Call, error: str = "") -> None:
        if error and not call.row.done:
            call.row.accept(Segment(status="engine_error", error=error))
        with self._changed:
            self._open -= 1
        call.told.put(None)

    def end(self, call: Call, error: str = "") -> None:
        """Tells the caller that the row has ended."""
        self._end(call, error)


class _OpenCalls:
    """The queue that the engine sees: see `engines.turns.TurnQueue`."""

    def __init__(self, shared: SharedEngine, sampling: Sampling) -> None:
        self._shared, self._sampling = shared, sampling
        self._ready: deque[Call] = deque()
        self._out: dict[int, Call] = {}

    def take(self, most: int) -> list[Turn]:
        calls: list[Call] = []
        while len(calls) < most:
            some = [self._ready.popleft()] if self._ready else self._shared.next_of(self._sampling, most - len(calls))
            if not some:
                break
            for call in some:
                if call.row.done:  # its caller has gone
                    self._shared.end(call)
                else:
                    calls.append(call)
        self._out |= {id(call.row.turn): call for call in calls}
        return [call.row.turn for call in calls]

    def give(self, turn: Turn, segment: Segment) -> None:
        call = self._out[id(turn)]
        before = len(call.row.segments)
        call.row.accept(segment)
        del self._out[id(turn)]  # not before: what raises until here is told to the caller
        if len(call.row.segments) > before:
            call.end_segment(call.row.segments[-1].text, call.row.inserted[-1])
        if call.row.done:
            turn.read = None
            self._shared.end(call)
        else:
            self._ready.append(call)

    def fail(self, reason: str) -> None:
        for call in [*self._ready, *self._out.values()]:
            self._shared.end(call, reason)


def usage_of(row: RegionRow) -> dict[str, Any]:
    """Token counts as OpenAI's protocol tells them."""
    prompt = row.segments[0].turn_tokens if row.segments else 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": row.turn.drawn,
        "total_tokens": prompt + row.turn.drawn,
    }
