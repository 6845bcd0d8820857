"""What runs in a Ray worker process: a pool and an engine of its own, in a thread that never waits for the driver."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import queue
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from rap_plugin.engines.base import Engine
from rap_plugin.errors import RapError, one_line
from rap_plugin.executors.batches import Batch, BatchResult, SampleReader, start_engine
from rap_plugin.executors.local import LocalExecutor
from rap_plugin.rollout import ModelIdentity


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """What a worker reports when its engine is open."""

    batch_size: int
    streams: bool
    seconds: float
    """That opening and starting the engine took."""
    dtype: str = ""
    """What the model computes in, "" where the engine does not know."""


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """What a worker is told once."""

    config: str
    """The run's configuration as JSON: readable under any version of the package, which is then compared."""
    version: str
    identity: ModelIdentity
    """Of the weights that this command has seen."""
    folder: str
    """Where the command was called: relative paths start there."""
    threads: int
    """Processor threads for the engine's libraries."""


class Worker:
    """The Ray actor. A problem that the user can mend is returned, not raised: it then needs no unwrapping.

    Its methods are coroutines, so that many batches are asked for at a time. The engine lives in one thread, which works
    through what has been asked as a local run does.
    """

    def __init__(self, setup: WorkerSetup) -> None:
        self._setup = setup
        self._engine: Engine | None = None
        self._thread = ThreadPoolExecutor(1, "rap-engine")
        self._asked: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._answers: dict[int, Future[BatchResult | RapError]] = {}
        """By the identity of the batch that was asked for."""
        self._broken: RapError | None = None

    async def open(self) -> WorkerReady | RapError:
        """Opens the pool and the engine, and starts the engine if it can be told to."""
        started = time.perf_counter()
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._open)
        except RapError as error:
            return self._here(error)
        assert self._engine is not None
        self._thread.submit(self._work)
        seconds, dtype = time.perf_counter() - started, self._engine.identity.dtype
        return WorkerReady(self._executor.batch_size, self._executor.streams, seconds, dtype)

    async def answer(self, batch: Batch) -> BatchResult | RapError:
        """Answers a batch in its turn."""
        answer = self._answers[id(batch)] = Future()
        if self._broken is not None:  # after the entry, so that none is added unseen while the thread ends
            return self._broken
        self._asked.put(batch)
        return await asyncio.wrap_future(answer)

    async def close(self) -> None:
        """Closes the engine."""
        self._asked.put(None)
        if self._engine is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.close)

    def _work(self) -> None:
        """The engine's thread: answers what is asked for, until `close`; an error is the answer to all that is open."""
        assert self._engine is not None
        try:
            for result in self._executor.run(iter(self._asked.get, None)):
                self._answers.pop(id(result.batch)).set_result(result)
        except RapError as error:
            self._broken = self._here(error)
        except Exception as error:
            self._broken = self._here(RapError(f"the pool cannot be read ({one_line(error)})"))
        if self._broken is not None:
            for answer in list(self._answers.values()):
                answer.set_result(self._broken)

    def _open(self) -> None:
        # Read by torch when it is imported, which nothing above has done.
        os.environ["OMP_NUM_THREADS"] = str(self._setup.threads)
        found = package_version()
        if found != self._setup.version:
            raise RapError(f"rap-plugin is {found}, not {self._setup.version}; install the same version everywhere")
        with contextlib.suppress(OSError):  # another node may lack the folder, and every path may be absolute
            os.chdir(self._setup.folder)
        from rap_plugin.config import RunConfig
        from rap_plugin.plugins import get_plugins, load_plugin_files
        from rap_plugin.samples.opening import open_pool

        self._config = RunConfig.model_validate_json(self._setup.config)
        load_plugin_files(self._config.plugins)
        registry = get_plugins().registry()
        pool = open_pool(self._config.pool)
        reader = SampleReader(pool, self._config.pool, registry.things["formats"])
        engine: Engine = registry.get("engines", self._config.model.engine)(self._config.model)
        wanted = self._setup.identity
        if (engine.identity.revision, engine.identity.weights_hash) != (wanted.revision, wanted.weights_hash):
            raise RapError(
                f"{self._config.model.id}: other weights ({engine.identity.revision}) than where the command was called "
                f"({wanted.revision}); give every node the same model"
            )
        if engine.identity.processor_hash != wanted.processor_hash:
            raise RapError(
                f"{self._config.model.id}: another chat template, tokeniser or image processor than where the command was "
                "called; give every node the same model"
            )
        start_engine(engine, self._config)
        self._engine = engine
        self._executor = LocalExecutor(engine, reader, self._config)

    def _here(self, error: RapError) -> RapError:
        return RapError(error, f" (in a Ray worker on {platform.node()})")


def package_version() -> str:
    """The installed version of this package."""
    try:
        return version("rap-plugin")
    except PackageNotFoundError:
        return "not installed"
