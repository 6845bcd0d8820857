"""Executors: where batches are answered. In this process, or by Ray workers with an engine each."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Any, Protocol

from rap_plugin.config import RunConfig
from rap_plugin.engines.base import Engine
from rap_plugin.errors import Option, RapError
from rap_plugin.executors.batches import Batch, BatchResult, SampleReader
from rap_plugin.samples.pool import Pool

__all__ = ["Executor", "open_executor"]


class Executor(Protocol):
    """Answers batches.

    `start` is called before the first batch and may be called again; it returns the seconds that starting took, None
    where nothing was started. `batch_size` and `streams` are known for good after it, and so is `dtype`, what the model
    computes in ("" where that is not known). `run` answers every batch once, in any order, and takes no more of them than it
    can soon work on. It reads the stream of batches in a thread of its own.
    """

    @property
    def measures_attention(self) -> bool: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def dtype(self) -> str: ...

    @property
    def streams(self) -> bool:
        """Whether it wants batches of one prompt each to sample, because its engines never wait for a batch to end."""
        ...

    def start(self) -> float | None: ...

    def run(self, batches: Iterable[Batch]) -> Generator[BatchResult]: ...

    def close(self) -> None: ...


def open_executor(config: RunConfig, engine: Engine, pool: Pool, formats: Mapping[str, Any]) -> Executor:
    """The configured executor; nothing is started yet. Raises RapError where it cannot work.

    Ray's workers open the pool and an engine of their own; `engine` then only says which weights theirs must have.
    """
    if config.execution.executor == "ray":
        from rap_plugin.executors.ray import RayExecutor

        return RayExecutor(engine, config)
    if config.execution.workers > 1:
        raise RapError(
            Option("execution.workers"),
            f" {config.execution.workers} needs ",
            Option("execution.executor"),
            " ray; the local executor is one process",
        )
    from rap_plugin.executors.local import LocalExecutor

    return LocalExecutor(engine, SampleReader(pool, config.pool, formats), config)
