"""Executor `local`: the engine in this process, fed without a pause, or one batch after the other."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from typing import Any

from rap_plugin.config import RunConfig
from rap_plugin.engines.base import ChecksAttention, Engine, Starts, Streams
from rap_plugin.executors.ahead import ReadAhead
from rap_plugin.executors.batches import (
    Batch,
    BatchResult,
    SampleReader,
    answer,
    make_prompts,
    requests_of,
    start_engine,
)
from rap_plugin.executors.feed import feed, tokens_in_flight
from rap_plugin.rollout import Prompt
from rap_plugin.samples.sample import Sample


class LocalExecutor:
    """One engine that the caller has opened, and closes."""

    def __init__(self, engine: Engine, reader: SampleReader, config: RunConfig) -> None:
        self._engine = engine
        self._reader = reader
        self._config = config
        self._started = False

    @property
    def measures_attention(self) -> bool:
        return self._engine.measures_attention

    @property
    def batch_size(self) -> int:
        return self._engine.batch_size

    @property
    def dtype(self) -> str:
        return self._engine.identity.dtype

    @property
    def streams(self) -> bool:
        return isinstance(self._engine, Streams)

    def start(self) -> float | None:
        """Starts an engine that can be told to, so that the ledger does not book its start to the first batch."""
        if self._started or not isinstance(self._engine, (Starts, Streams, ChecksAttention)):
            return None
        self._started = True
        return start_engine(self._engine, self._config)

    def run(self, batches: Iterable[Batch]) -> Generator[BatchResult]:
        """Answers batches: as they end where the engine streams, else in order, with the next one's prompts built meanwhile."""
        with closing(ReadAhead(batches, self._reader, self._build)) as ahead:
            while (batch := ahead.wait()) is not None:
                if isinstance(self._engine, Streams) and not batch.measure:
                    bound = tokens_in_flight(self._config, self.batch_size, self._engine.lanes)
                    yield from feed(self._engine, ahead, self._config, bound)
                else:
                    batch, built = ahead.take()
                    yield answer(batch, built, self._engine, self._config)

    def close(self) -> None:
        pass

    def _build(self, batch: Batch, samples: Sequence[Sample], partners: Sequence[Sample | None]) -> Any:
        """Prompts; of a batch for an engine that streams, its one request and what that engine prepares."""
        prompts: list[Prompt] = make_prompts(batch, samples, partners, self._config)
        if batch.measure or not isinstance(self._engine, Streams):
            return prompts
        (request,) = requests_of(batch, prompts)
        return request, self._engine.prepare(request)
