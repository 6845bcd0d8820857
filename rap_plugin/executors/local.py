"""Executor `local`: the engine in this process, one batch after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rap_plugin.config import RunConfig
from rap_plugin.engines.base import ChecksAttention, Engine, Starts
from rap_plugin.executors.batches import Batch, BatchResult, SampleReader, answer, start_engine


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

    def start(self) -> float | None:
        """Starts an engine that can be told to, so that the ledger does not book its start to the first batch."""
        if self._started or not isinstance(self._engine, (Starts, ChecksAttention)):
            return None
        self._started = True
        return start_engine(self._engine, self._config)

    def run(self, batches: Iterable[Batch]) -> Iterator[BatchResult]:
        """Answers in order."""
        return (answer(batch, self._engine, self._reader, self._config) for batch in batches)

    def close(self) -> None:
        pass
