"""Executor `ray`: a pool of Ray actors, each with an engine of its own, over a local or an existing cluster.

This process plans, hands out batches, grades and writes the evidence; it is the store's only writer. A worker that
dies is replaced, and the batches that it had not finished run again.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import shutil
import socket
import tempfile
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rap_plugin.config import RunConfig
from rap_plugin.engines.base import Engine, Streams
from rap_plugin.errors import Option, RapError
from rap_plugin.executors.batches import Batch, BatchResult, failed_result
from rap_plugin.executors.feed import Lane, hand_out, tokens_in_flight
from rap_plugin.executors.queue import COMPANY, SUSPECT, BatchQueue
from rap_plugin.executors.refs import finished
from rap_plugin.executors.worker import Worker, WorkerReady, WorkerSetup, package_version

log = logging.getLogger(__name__)

IN_FLIGHT = 2
"""Batches of an engine that takes one at a time: the one that it works on, and one so that it need not wait for this process."""

MAX_DEATHS = 5
"""Workers that may die in a row without an answer in between, per place: a lost node takes all of its own at once."""

NOTICE_AFTER_S = 60.0
"""Without a worker and without news for so long, a line says what is being waited for."""

CONNECT_TIMEOUT_S = 10.0
"""For a TCP connection to a cluster's head."""

CLOSE_TIMEOUT_S = 5.0
"""That idle workers have to close their engines."""

OBJECT_STORE_BYTES = 128 << 20
"""Shared memory of a local cluster: answers in flight are the only objects, a few hundred kilobytes each."""


@dataclass(eq=False, kw_only=True)
class _RayWorker(Lane):
    """One worker; the tickets of its batches are the references of their answers."""

    actor: Any
    starting: Any
    """Reference of the report that its engine is open; None once that has come."""
    window: tuple[int, ...] = ()
    heard: float = 0.0
    """When it last answered, or got work after having none, by `time.monotonic`."""


class RayExecutor:
    """`execution.workers` engines in workers of their own; `engine` says which weights they must have."""

    def __init__(self, engine: Engine, config: RunConfig) -> None:
        if importlib.util.find_spec("ray") is None:
            raise RapError(
                Option("execution.executor"), " ray needs Ray; install it with: pip install 'rap-plugin[ray]'"
            )
        self._engine = engine
        self._config = config
        self._settings = config.execution
        self._workers: list[_RayWorker] = []
        self._ready: WorkerReady | None = None
        self._deaths = 0
        """Workers lost in a row, without an answer in between."""
        self._proven: Batch | None = None
        """A sample that a worker has answered: it shows later whether workers work at all."""
        self._connected = self._joined = self._local = self._keep_logs = False
        self._folder: Path | None = None
        """Of the local cluster's sockets and logs."""
        self.batch_size: int = engine.batch_size
        self.streams = isinstance(engine, Streams)

    @property
    def measures_attention(self) -> bool:
        return self._engine.measures_attention

    @property
    def dtype(self) -> str:
        """What the workers' models compute in; known when the first has started."""
        return self._ready.dtype if self._ready else ""

    def start(self) -> float | None:
        """Connects to Ray, starts the workers and waits for the first; returns the seconds that its engine took."""
        if self._workers:
            return None
        self._connect()
        self._new_actor = self._actor_factory()
        self._workers = [self._start_worker() for _ in range(self._settings.workers)]
        nothing = BatchQueue(())
        while self._ready is None:
            for _ in self._next_results(nothing):
                raise AssertionError("an answer that nobody asked for")
        # The plan is cut by the engine that does the work: this process may lack the workers' GPU.
        self.batch_size, self.streams = self._ready.batch_size, self._ready.streams
        return self._ready.seconds

    def run(self, batches: Iterable[Batch]) -> Generator[BatchResult]:
        """Answers as they come; the stream of batches is read only as far as workers have room."""
        self.start()
        queue = BatchQueue(batches, COMPANY if self.streams else ())
        yield from self._work(queue)
        if not queue.killers:
            return
        # Is it these samples, or does nothing work any more? One that was answered before shows it.
        control = BatchQueue((self._proven,) if self._proven else ())
        if not list(self._work(control)):
            rows = ", ".join(str(batch.items[0].row) for batch in queue.killers[:5])
            raise self._give_up(f"every worker dies that gets row {rows} of the pool, and none is known to work")
        for batch in queue.killers:
            yield failed_result(batch, f"{batch.deaths} worker processes died while they worked on this sample")

    def close(self) -> None:
        """Ends the workers, and a local cluster with them; an existing cluster is left as it was."""
        if not self._connected:
            return
        import ray

        idle = [worker for worker in self._workers if worker.starting is None and not worker.running]
        if idle and len(idle) == len(self._workers):
            with contextlib.suppress(ray.exceptions.RayError):
                ray.wait(
                    [worker.actor.close.remote() for worker in idle], num_returns=len(idle), timeout=CLOSE_TIMEOUT_S
                )
        for worker in self._workers:
            _kill(worker)
        self._workers = []
        if not self._joined:
            ray.shutdown()
        if self._folder is not None and not self._keep_logs:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._connected = False

    # -- batches --------------------------------------------------------------------------------------------------

    def _work(self, queue: BatchQueue) -> Iterator[BatchResult]:
        bound = tokens_in_flight(self._config, self.batch_size)
        while True:
            open_workers = [worker for worker in self._workers if worker.starting is None]
            hand_out(open_workers, lambda worker: self._give(worker, queue, bound))
            if not queue and not any(worker.running for worker in self._workers):
                return
            yield from self._next_results(queue)

    def _give(self, worker: _RayWorker, queue: BatchQueue, bound: int) -> bool:
        """Hands one batch to a worker; False where it has enough at work, or nothing waits that it may get."""
        if not self.streams and len(worker.running) >= IN_FLIGHT:
            return False
        # Batches of an engine that takes them whole are as large as that engine wants them.
        room = bound - worker.tokens if worker.running and self.streams else None
        batch = queue.take(worker.window, worker.running.values(), room)
        if batch is None:
            return False
        worker.window = batch.window
        if not worker.running:
            worker.heard = time.monotonic()
        worker.add(worker.actor.answer.remote(batch), batch)
        return True

    def _next_results(self, queue: BatchQueue) -> Iterator[BatchResult]:
        """Waits for what comes next and deals with it: a worker that has started, an answer, a death."""
        import ray

        asked = {
            ref: worker for worker in self._workers for ref in (worker.starting, *worker.running) if ref is not None
        }
        ready = finished(list(asked), min(NOTICE_AFTER_S, self._settings.answer_within_s))
        if not ready and self._ready is None:
            log.warning("still waiting for a Ray worker; each asks for %s, free: %s", self._resources(), _free())
        for ref in ready:
            worker = asked[ref]
            if worker not in self._workers:  # replaced on account of another of its batches
                continue
            try:
                found = ray.get(ref)
            except ray.exceptions.RayTaskError as error:
                raise RapError(f"a Ray worker failed: {_reason(error.cause or error)}") from None
            except ray.exceptions.RayError as error:
                yield from self._replace(worker, queue, error)
                continue
            if ref is worker.starting:
                self._worker_ready(worker, found)
            else:
                yield self._answered(worker, ref, found)
        yield from self._replace_hung(queue)

    def _worker_ready(self, worker: _RayWorker, found: WorkerReady | RapError) -> None:
        if isinstance(found, RapError):
            raise found
        worker.starting = None
        self._ready = self._ready or found
        if found.dtype != self._ready.dtype:
            raise RapError(
                f"Ray workers compute in {self._ready.dtype} and in {found.dtype}, so that their responses are not one model's; "
                "give one with ",
                Option("model.dtype"),
            )

    def _answered(self, worker: _RayWorker, ref: Any, found: BatchResult | RapError) -> BatchResult:
        if isinstance(found, RapError):
            raise found
        batch = worker.done(ref)
        worker.heard = time.monotonic()
        self._deaths, self._proven = 0, replace(batch, items=batch.items[:1], deaths=0)
        return found

    def _replace_hung(self, queue: BatchQueue) -> Iterator[BatchResult]:
        """Takes workers for dead that have had work for too long without ending any."""
        limit = self._settings.answer_within_s
        for worker in list(self._workers):
            late = worker.running and time.monotonic() - worker.heard > limit
            if late and not finished(list(worker.running), 0):
                yield from self._replace(worker, queue, TimeoutError(f"no answer for {limit:g} s"))

    def _replace(self, worker: _RayWorker, queue: BatchQueue, reason: Exception) -> Iterator[BatchResult]:
        """Puts a new worker in the place of a dead one; its finished batches count, the others wait again."""
        import ray

        at_work = list(worker.running.items())
        _kill(worker)  # one that merely cannot be reached must not go on beside its successor
        self._workers.remove(worker)
        unfinished = []
        for ref, batch in at_work:
            try:
                yield self._answered(worker, ref, ray.get(ref, timeout=CLOSE_TIMEOUT_S))
            except ray.exceptions.RayError:
                unfinished.append(batch)
        # Parts of a batch that is being narrowed down are expected to kill, once it is known that workers can work.
        if self._proven is None or not unfinished or unfinished[0].deaths < SUSPECT:
            self._deaths += 1
        for batch in unfinished:
            queue.died(batch, alone=len(unfinished) == 1)
        if self._deaths >= MAX_DEATHS * self._settings.workers:
            raise self._give_up(f"{self._deaths} Ray workers in a row died without finishing a batch")
        log.warning("a Ray worker died (%s); another takes its place", _reason(reason))
        self._workers.append(self._start_worker())

    def _give_up(self, what: str) -> RapError:
        self._keep_logs = self._folder is not None
        where = f"; their output is in {self._folder}/session_latest/logs" if self._keep_logs else ""
        return RapError(f"{what}: the engine crashes or memory runs out{where}; stored rollouts are kept")

    # -- workers --------------------------------------------------------------------------------------------------

    def _start_worker(self) -> _RayWorker:
        actor = self._new_actor()
        return _RayWorker(actor=actor, starting=actor.open.remote())

    def _actor_factory(self) -> Callable[[], Any]:
        """What makes one worker. Raises RapError where the cluster has no room for it."""
        import ray

        total = ray.cluster_resources()
        self._gpus = self._gpus_per_worker(total.get("GPU", 0))
        local, workers = self._local, self._settings.workers
        # Local workers count as one processor each whatever they use: the cluster is theirs alone.
        self._cpus = 1 if local else self._settings.cpus_per_worker or 1
        for kind, each in (("GPU", self._gpus), ("CPU", self._cpus)):
            needed = each * (workers if local else 1)
            if needed > total.get(kind, 0):
                raise RapError(
                    f"execution: {workers if local else 'a'} Ray worker{'s' if local and workers > 1 else ''} need {needed:g} {kind}, "
                    f"{'this machine' if local else 'the cluster'} has {total.get(kind, 0):g}; change ",
                    Option("execution.workers"),
                    f" or execution.{kind.lower()}s_per_worker",
                )
        setup = WorkerSetup(
            self._config.model_dump_json(), package_version(), self._engine.identity, os.getcwd(), self._threads()
        )
        actor = ray.remote(Worker).options(
            num_cpus=self._cpus, num_gpus=self._gpus, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD"
        )
        return lambda: actor.remote(setup)

    def _gpus_per_worker(self, there: float) -> float:
        if self._settings.gpus_per_worker is not None:
            return self._settings.gpus_per_worker
        if not there or self._config.model.device == "cpu":
            return 0
        return float(self._config.model.options.get("tensor_parallel_size", 1))

    def _threads(self) -> int:
        if self._settings.cpus_per_worker is not None or not self._local:
            return self._settings.cpus_per_worker or 1
        given = os.environ.get("OMP_NUM_THREADS", "")
        return int(given) if given.isdecimal() else max(1, (os.cpu_count() or 1) // self._settings.workers)

    def _resources(self) -> str:
        return f"{self._cpus} CPU" + (f" and {self._gpus:g} GPU" if self._gpus else "")

    # -- Ray ------------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        """A connection that the process has already, else the given cluster, else a local one of our own."""
        # Read when Ray is imported. It reports its use over the network unless told not to, and prints to standard
        # output that a worker died, which we log.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "A worker died or was killed")
        import ray

        address = self._settings.address or os.environ.get("RAY_ADDRESS") or "local"
        self._joined = ray.is_initialized()
        self._local = address == "local" and not self._joined
        self._connected = True
        if self._joined:
            return
        if not self._local:
            _require_reachable(address)
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
        if self._local:
            # What an engine has started (vLLM's core) must not outlive a dead worker: it holds the GPU.
            os.environ.setdefault("RAY_process_group_cleanup_enabled", "true")
            # Ray's sockets lie in there, and the path of a socket is at most 107 bytes long.
            short = "/tmp" if os.path.isdir("/tmp") else None
            self._folder = Path(tempfile.mkdtemp(prefix=f"rap-ray-{os.getpid()}-", dir=short))
            options |= {
                "num_cpus": self._settings.workers,
                "include_dashboard": False,
                "object_store_memory": OBJECT_STORE_BYTES,
                "_temp_dir": str(self._folder),
            }
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # about a default of later versions
                ray.init(address=address, **options)
        except (OSError, RuntimeError, ValueError) as error:
            what = "a local Ray cluster cannot be started" if self._local else f"no Ray cluster answers at {address}"
            raise RapError(
                f"{what} ({_reason(error)}); check execution.address, or use ", Option("execution.executor"), " local"
            ) from None


def _require_reachable(address: str) -> None:
    """Raises RapError where nothing listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise RapError(f"no Ray cluster answers at {address} ({_reason(error)}); check execution.address") from None


def _kill(worker: _RayWorker) -> None:
    import ray

    with contextlib.suppress(Exception):  # it is dead, or its cluster is
        ray.kill(worker.actor, no_restart=True)


def _free() -> str:
    import ray

    free = ray.available_resources()
    return ", ".join(f"{free.get(kind, 0):g} {kind}" for kind in ("CPU", "GPU"))


def _reason(error: BaseException) -> str:
    """An exception in one line; of a dead actor what Ray knows of its end."""
    text = " ".join(str(error).split())
    for mark in ("Worker exit detail: ", "The actor is dead because "):
        text = text.split(mark, 1)[-1]
    text = text.split(" Some common causes", 1)[0]
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
