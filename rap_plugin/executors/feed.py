"""Feeds engines without a pause: each has a bounded number of tokens at work, and who has the least gets the next prompt.

No engine waits for the slowest response of a batch, and none is handed more than it can soon work on: what waits in one
engine could not go to another that is free. What is handed out, and in which order, changes no response.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from rap_plugin.config import RunConfig
from rap_plugin.engines.base import Streams
from rap_plugin.executors.batches import (
    Batch,
    BatchResult,
    make_sampling,
    named_errors,
    require_numbers,
    require_responses,
    wants_attention,
)
from rap_plugin.rollout import Request


@dataclass(eq=False)
class Lane:
    """One engine, and the batches that it has at work."""

    running: dict[Any, Batch] = field(default_factory=dict)
    """By ticket, oldest first."""
    tokens: int = 0
    """Of those batches."""

    def add(self, ticket: Any, batch: Batch) -> None:
        self.running[ticket] = batch
        self.tokens += batch.tokens

    def done(self, ticket: Any) -> Batch:
        batch = self.running.pop(ticket)
        self.tokens -= batch.tokens
        return batch

    def fits(self, batch: Batch, bound: int) -> bool:
        """Whether a batch is within the bound beside the others; one that is larger runs alone."""
        return not self.running or self.tokens + batch.tokens <= bound


SomeLane = TypeVar("SomeLane", bound=Lane)


def hand_out(lanes: Sequence[SomeLane], give: Callable[[SomeLane], bool]) -> None:
    """Calls `give` for the lane with the least at work, again and again, until it gives nothing to any.

    `give` hands one batch to a lane; it returns False where none fits there or none is ready.
    """
    asking = list(lanes)
    while asking:
        lane = min(asking, key=lambda one: one.tokens)
        if not give(lane):
            asking.remove(lane)


def tokens_in_flight(config: RunConfig, batch_size: int, lanes: int = 1) -> int:
    """The bound for one lane: as configured, else what the batch size's share of longest prompts and responses takes."""
    longest = config.sampling.max_prompt_tokens + config.sampling.max_new_tokens
    responses = (config.model.batch_size or batch_size) // lanes
    return config.execution.tokens_in_flight or max(1, responses) * longest


class Source(Protocol):
    """Where prompts come from, in order; see `ahead.ReadAhead`."""

    def wait(self) -> Batch | None: ...

    def peek(self) -> Batch | None: ...

    def take(self) -> tuple[Batch, tuple[Request, Any]]: ...


def feed(engine: Streams, source: Source, config: RunConfig, bound: int) -> Generator[BatchResult]:
    """Samples batches of one prompt each, `bound` tokens at work per lane, and yields them as they end.

    Ends before a batch that measures stored responses, and at the end of `source`.
    """
    sampling = make_sampling(config)
    lanes = [Lane() for _ in range(engine.lanes)]
    lane_of: dict[Hashable, Lane] = {}

    def give(lane: Lane) -> bool:
        batch = source.peek()
        if batch is None or batch.measure or not lane.fits(batch, bound):
            return False
        batch, (request, prepared) = source.take()
        measure = wants_attention(batch, engine, config)
        with named_errors(engine):
            ticket = engine.submit(lanes.index(lane), request, prepared, sampling, measure=measure)
        lane.add(ticket, batch)
        lane_of[ticket] = lane
        return True

    try:
        while lane_of or ((batch := source.wait()) is not None and not batch.measure):
            if not lane_of:
                since = time.perf_counter()
            hand_out(lanes, give)
            with named_errors(engine):
                completed = engine.completed()
            for ticket, row in completed:
                batch = lane_of.pop(ticket).done(ticket)
                now = time.perf_counter()
                measured = wants_attention(batch, engine, config)
                with named_errors(engine):
                    require_numbers(batch, [len(row)])
                    require_responses(response for response, _ in row)
                responses = [response for response, _ in row]
                attention = [[seen for _, seen in row]] if measured else []
                yield BatchResult(batch, [responses], attention, now - since)
                since = now
    finally:
        if lane_of:
            engine.abandon()
