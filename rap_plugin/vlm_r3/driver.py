"""Runs rows of the region loop on an engine: as many at a time as its batch holds, others in the place of finished ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from rap_plugin.engines.base import Engine
from rap_plugin.engines.turns import ContinuesTurns, Segment, Turn
from rap_plugin.errors import RapError
from rap_plugin.rollout import Sampling
from rap_plugin.vlm_r3.boxes import STOPS
from rap_plugin.vlm_r3.loop import RegionRow


class RegionQueue:
    """The rows that wait, run and are done; see `engines.turns.TurnQueue`. Rows are made when there is room for them."""

    def __init__(self, rows: Iterable[RegionRow], done: Callable[[RegionRow], None]) -> None:
        self._waiting: Iterator[RegionRow] = iter(rows)
        self._done = done
        self._ready: deque[RegionRow] = deque()
        self._out: dict[int, RegionRow] = {}

    def take(self, most: int) -> list[Turn]:
        """Rows that were begun come first; new ones join while there is room."""
        rows = [self._ready.popleft() for _ in range(min(most, len(self._ready)))]
        while len(rows) < most:
            row = next(self._waiting, None)
            if row is None:
                break
            if row.done:  # nothing to do for it
                self._done(row)
                continue
            rows.append(row)
        self._out |= {id(row.turn): row for row in rows}
        return [row.turn for row in rows]

    def give(self, turn: Turn, segment: Segment) -> None:
        """Lets the row go on, or hands it back when it is done."""
        row = self._out.pop(id(turn))
        row.accept(segment)
        if row.done:
            turn.read = None  # tensors
            self._done(row)
        else:
            self._ready.append(row)


def run_rows(engine: Engine, rows: Iterable[RegionRow], sampling: Sampling, done: Callable[[RegionRow], None]) -> None:
    """Runs all rows; `done` gets each when it has ended, in no particular order.

    `sampling.max_new_tokens` bounds prompt and turn together with `max_prompt_tokens`; what a row may sample is the row's own
    option. Raises RapError for an engine that cannot write turns on.
    """
    turn_engine(engine).continue_turns(RegionQueue(rows, done), sampling, STOPS)


def turn_engine(engine: Engine) -> ContinuesTurns:
    """The same engine as one that writes turns on. Raises RapError where it is none."""
    if not isinstance(engine, ContinuesTurns):
        raise RapError(f"engine {engine.name} cannot put images into an answer; use hf or vllm")
    return engine
