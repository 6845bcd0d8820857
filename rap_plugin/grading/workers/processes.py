"""Worker processes that can be killed: the only place where a grader waits.

The calling thread drives its workers itself, with `selectors`: no helper threads, no signals, so it works the
same from any thread and after a fork. One worker handles one item at a time; the deadline of an item starts
when the reply to the one before it came, and time in which its worker stood in line for a processor does not count:
on a busy machine nothing times out that would not do so on a quiet one.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from rap_plugin.errors import RapError

BATCH = 32
"""Items written to a worker at a time: enough to keep it busy, few enough to share a call among workers."""
STARTUP_S = 120.0
"""A worker imports sympy, or the user's file with all that it imports, within this time."""
_ATTEMPTS = 3
PATIENCE = 20
"""On the busiest machine an item gets at most so many times its deadline."""
_LOOKED_S = 0.1
"""A worker's time in line is looked up no more often: the most by which a deadline is too late."""

# The worker gets the parent's import path as it is, wherever rap_plugin was imported from. (`python -m` would
# put the current folder first, and a stray json.py there would be imported.)
_BOOTSTRAP = (
    "import json, runpy, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "runpy.run_module('rap_plugin.grading.workers.worker', run_name='__main__')"
)

Reply = dict[str, Any]


class WorkerDied(Exception):
    """The process ended by itself or was killed by someone else."""


def stood_in_line(pid: int) -> float:
    """Seconds in which a process could run and had no processor; 0 on systems that do not say."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


class _Process:
    """One worker process and the items it holds."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}
        # One item at a time: more threads per worker only make the machine slower and take address space.
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            environment.setdefault(name, "1")
        self.child = subprocess.Popen(
            [sys.executable, "-c", _BOOTSTRAP, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            bufsize=0,
            start_new_session=True,  # Ctrl-C in a terminal goes to the parent alone
        )
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.stdin, self.stdout = self.child.stdin, self.child.stdout
        os.set_blocking(self.stdin.fileno(), False)
        os.set_blocking(self.stdout.fileno(), False)
        self.ready = False
        self.held: deque[int] = deque()
        self.deadline = self._latest = time.monotonic() + STARTUP_S
        self._looked = self._stood = 0.0
        self._out = bytearray(json.dumps(config).encode() + b"\n")
        self._in = bytearray()

    @property
    def wants_to_write(self) -> bool:
        return bool(self._out)

    def push(self, number: int, request: Mapping[str, Any], timeout_s: float) -> None:
        """Queue one item; its deadline starts now when the worker is idle."""
        if not self.held and self.ready:
            self.start_clock(timeout_s)
        self.held.append(number)
        self._out += json.dumps({**request, "n": number}).encode() + b"\n"

    def start_clock(self, timeout_s: float) -> None:
        """The item at hand has so many seconds from now on."""
        now = time.monotonic()
        self.deadline, self._latest = now + timeout_s, now + PATIENCE * timeout_s
        if now - self._looked > _LOOKED_S:
            self._looked, self._stood = now, stood_in_line(self.child.pid)

    def add_time_in_line(self) -> None:
        """Moves the deadline by the time that the worker has stood in line since it was set or moved."""
        before, self._stood = self._stood, stood_in_line(self.child.pid)
        self.deadline = min(self.deadline + max(0.0, self._stood - before), max(self.deadline, self._latest))

    def write(self) -> None:
        try:
            sent = os.write(self.stdin.fileno(), self._out[:65536])
        except BlockingIOError:
            return
        except OSError as error:
            raise WorkerDied from error
        del self._out[:sent]

    def read(self) -> list[Reply]:
        """Complete replies that came; raises WorkerDied at the end of the stream."""
        try:
            data = os.read(self.stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return []
        except OSError as error:
            raise WorkerDied from error
        if not data:
            raise WorkerDied
        self._in += data
        *lines, rest = self._in.split(b"\n")
        self._in = bytearray(rest)
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise WorkerDied from error

    def kill(self) -> None:
        """End the process now and reap it."""
        with contextlib.suppress(OSError):
            if self.child.poll() is None:
                # It leads its own session: what a user's function started ends with it.
                os.killpg(self.child.pid, signal.SIGKILL)
        for pipe in (self.stdin, self.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        self.child.wait()

    def how_it_died(self) -> str:
        """Ends the process if it still runs, and says how it ended."""
        self.kill()
        code = self.child.returncode
        return f"signal {-code}" if code < 0 else f"exit status {code}"


def _kill_all(processes: set[_Process], owner: int) -> None:
    if os.getpid() == owner:
        for process in list(processes):
            process.kill()


_POOLS: weakref.WeakSet[WorkerPool] = weakref.WeakSet()


def _forget_after_fork() -> None:
    # The workers belong to the parent; the child starts its own when it grades.
    for pool in list(_POOLS):
        pool._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


class WorkerPool:
    """Up to `workers` processes shared by all threads, started when first needed.

    `map` gives one reply per request, in order: the worker's own, or {"timeout": seconds} after the deadline,
    or {"failed": reason} when its worker died twice over it. Raises RapError when workers cannot start.
    """

    def __init__(self, config: Mapping[str, Any], *, workers: int, timeout_s: float, memory_mb: int, what: str) -> None:
        self._config = {**config, "most_s": PATIENCE * timeout_s, "memory_mb": memory_mb}
        self._workers = max(1, workers)
        self._timeout_s = timeout_s
        self._what = what
        self._reset()
        _POOLS.add(self)

    def _reset(self) -> None:
        self._free = threading.Condition()
        self._idle: list[_Process] = []
        self._count = 0
        self._all: set[_Process] = set()
        # Also runs at exit; in a forked child the parent's finalizer finds another owner and does nothing.
        weakref.finalize(self, _kill_all, self._all, os.getpid())

    def _spawn(self) -> _Process:
        try:
            process = _Process(self._config)
        except OSError as error:
            raise RapError(f"{self._what}: cannot start a worker process ({error})") from error
        self._all.add(process)
        return process

    def _discard(self, process: _Process) -> None:
        process.kill()
        self._all.discard(process)

    def _take(self, *, wait: bool) -> _Process | None:
        """An idle worker, or a new one while fewer than `workers` are out, or None."""
        with self._free:
            while wait and not self._idle and self._count >= self._workers:
                self._free.wait()
            if not self._idle and self._count >= self._workers:
                return None
            self._count += 1
            process = self._idle.pop() if self._idle else None
        if process is not None and process.child.poll() is None:
            return process
        try:
            if process is not None:
                self._discard(process)
            return self._spawn()
        except BaseException:
            self._give_back(None)
            raise

    def _give_back(self, process: _Process | None) -> None:
        with self._free:
            self._count -= 1
            if process is not None:
                self._idle.append(process)
            self._free.notify()

    def map(self, requests: Sequence[Mapping[str, Any]]) -> list[Reply]:
        """Replies to requests; see the class."""
        return _Job(self, requests).run() if requests else []

    def close(self) -> None:
        """Stop idle workers; calls in progress finish, a later `map` starts fresh ones."""
        with self._free:
            idle, self._idle = self._idle, []
        for process in idle:
            self._discard(process)


class _Job:
    """One call of `map`."""

    def __init__(self, pool: WorkerPool, requests: Sequence[Mapping[str, Any]]) -> None:
        self.pool = pool
        self.requests = requests
        self.replies: list[Reply | None] = [None] * len(requests)
        self.pending = deque(range(len(requests)))
        self.deaths = [0] * len(requests)
        self.failed_starts = 0
        self.mine: list[_Process] = []
        # Small calls are shared too: two workers halve the wait of sixteen slow items.
        self.batch = max(1, min(BATCH, -(-len(requests) // pool._workers)))

    def run(self) -> list[Reply]:
        try:
            while self.pending or any(process.held for process in self.mine):
                self._staff()
                self._step()
        finally:
            for process in list(self.mine):
                # Interrupted in the middle: replies still to come would answer another call's items.
                self._release(process, keep=process.ready and not process.held)
        return [reply if reply is not None else {"failed": "no reply"} for reply in self.replies]

    def _staff(self) -> None:
        """Give every worker work, take more workers while there is some, give back those without any."""
        for process in list(self.mine):
            if not process.held:
                if self.pending:
                    self._fill(process)
                elif process.ready:
                    self._release(process, keep=True)
        while self.pending:
            taken = self.pool._take(wait=not self.mine)
            if taken is None:
                return
            self.mine.append(taken)
            self._fill(taken)

    def _fill(self, process: _Process) -> None:
        for _ in range(min(self.batch, len(self.pending))):
            number = self.pending.popleft()
            process.push(number, self.requests[number], self.pool._timeout_s)

    def _release(self, process: _Process, *, keep: bool) -> None:
        self.mine.remove(process)
        if not keep:
            self.pool._discard(process)
        self.pool._give_back(process if keep else None)

    def _step(self) -> None:
        """Wait for the next event of our workers, or the next deadline."""
        with selectors.DefaultSelector() as selector:
            for process in self.mine:
                selector.register(process.stdout, selectors.EVENT_READ, process)
                if process.wants_to_write:
                    selector.register(process.stdin, selectors.EVENT_WRITE, process)
            wait = min(process.deadline for process in self.mine) - time.monotonic()
            events = selector.select(max(0.0, wait))
        for key, mask in events:
            process = key.data
            if process not in self.mine:
                continue
            try:
                if mask & selectors.EVENT_WRITE:
                    process.write()
                else:
                    self._receive(process)
            except WorkerDied:
                self._on_death(process)
        now = time.monotonic()
        for process in [p for p in self.mine if p.deadline <= now]:
            self._on_deadline(process)

    def _receive(self, process: _Process) -> None:
        for reply in process.read():
            if not process.ready:
                if "error" in reply:
                    raise RapError(f"{self.pool._what} cannot be loaded: {reply['error']}")
                process.ready = True
            else:
                number = process.held.popleft()
                if reply.pop("n", None) != number:
                    raise WorkerDied
                self.replies[number] = reply
            process.start_clock(self.pool._timeout_s)

    def _requeue(self, process: _Process) -> None:
        self.pending.extendleft(reversed(process.held))
        process.held.clear()

    def _on_deadline(self, process: _Process) -> None:
        # A reply may have arrived while other workers were served.
        try:
            self._receive(process)
        except WorkerDied:
            self._on_death(process)
            return
        process.add_time_in_line()
        if process.deadline > time.monotonic():
            return
        if not process.ready:
            self._on_failed_start(process, f"it did not start within {STARTUP_S:.0f} s")
        else:
            if process.held:
                self.replies[process.held.popleft()] = {"timeout": self.pool._timeout_s}
            self._requeue(process)
        self._release(process, keep=False)

    def _on_death(self, process: _Process) -> None:
        how = process.how_it_died()
        if not process.ready:
            self._on_failed_start(process, f"it ended at once ({how})")
        else:
            if process.held:
                # It may have been killed from outside: the item gets a second worker before it is blamed.
                first = process.held[0]
                self.deaths[first] += 1
                if self.deaths[first] >= 2:
                    process.held.popleft()
                    self.replies[first] = {"failed": f"its worker died twice ({how})"}
            self._requeue(process)
        self._release(process, keep=False)

    def _on_failed_start(self, process: _Process, why: str) -> None:
        self.failed_starts += 1
        self._requeue(process)
        if self.failed_starts >= _ATTEMPTS:
            raise RapError(f"{self.pool._what}: a grading worker cannot start: {why}")
