"""vLLM's own processes, and calls that end when those do: vLLM waits for ever for one that was killed, or that hangs."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from typing import TypeVar

LOOK_S = 1.0
"""How often a call that takes long looks whether the processes live."""

Answer = TypeVar("Answer")


class ProcessesGone(Exception):
    """What a call was waiting for does not come any more."""


class EngineProcesses:
    """The processes that one `LLM` has started; none where it runs in this one."""

    def __init__(self, processes: Sequence[BaseProcess]) -> None:
        self._processes = list(processes)

    def call(self, function: Callable[[], Answer], within_s: float) -> Answer:
        """What `function` returns or raises. Raises ProcessesGone when a process has ended, or has been ended here since no
        answer came within `within_s`."""
        if not self._processes:
            return function()
        done, answers, errors = threading.Event(), list[Answer](), list[BaseException]()

        def run() -> None:
            try:
                answers.append(function())
            except BaseException as error:
                errors.append(error)
            done.set()

        # Python waits at its end for threads that are not daemons, and this one may never come back.
        threading.Thread(target=run, name="rap-vllm", daemon=True).start()
        until = time.monotonic() + within_s
        while not done.wait(min(LOOK_S, within_s)):
            if not all(process.is_alive() for process in self._processes):
                raise ProcessesGone("its process has ended: killed, or out of memory")
            if time.monotonic() > until:
                self.kill()
                raise ProcessesGone(f"no answer of its process for {within_s:g} s")
        if errors:
            raise errors[0]
        return answers[0]

    def kill(self) -> None:
        """Ends them at once; what they have started ends with them."""
        for process in self._processes:
            with contextlib.suppress(OSError, ValueError):
                process.kill()


def children() -> set[BaseProcess]:
    """The processes that this one has started through `multiprocessing`, as vLLM starts its own."""
    return set(multiprocessing.active_children())
