"""What runs in a Ray worker process: a pool and an engine of its own."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from rap_plugin.engines.base import Engine
from rap_plugin.errors import RapError
from rap_plugin.executors.batches import Batch, BatchResult, SampleReader, answer, start_engine
from rap_plugin.rollout import ModelIdentity


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """What a worker reports when its engine is open."""

    batch_size: int
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
    """The Ray actor. A problem that the user can mend is returned, not raised: it then needs no unwrapping."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._setup = setup
        self._engine: Engine | None = None

    def open(self) -> WorkerReady | RapError:
        """Opens the pool and the engine, and starts the engine if it can be told to."""
        started = time.perf_counter()
        try:
            self._open()
        except RapError as error:
            return self._here(error)
        assert self._engine is not None
        return WorkerReady(self._engine.batch_size, time.perf_counter() - started, self._engine.identity.dtype)

    def answer(self, batch: Batch) -> BatchResult | RapError:
        """Reads the batch's images and answers it."""
        assert self._engine is not None
        try:
            return answer(batch, self._engine, self._reader, self._config)
        except RapError as error:
            return self._here(error)
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            return self._here(RapError(f"engine {self._engine.name} failed: {type(error).__name__}: {text}"))

    def close(self) -> None:
        """Closes the engine."""
        if self._engine is not None:
            self._engine.close()

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
        self._reader = SampleReader(pool, self._config.pool, registry.things["formats"])
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

    def _here(self, error: RapError) -> RapError:
        return RapError(error, f" (in a Ray worker on {platform.node()})")


def package_version() -> str:
    """The installed version of this package."""
    try:
        return version("rap-plugin")
    except PackageNotFoundError:
        return "not installed"
