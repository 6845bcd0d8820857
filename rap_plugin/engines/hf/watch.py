"""Ends a process whose model hangs: a kernel that never returns cannot be interrupted, and the run would wait for ever."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LOOK_S = 60.0
"""The longest that the thread sleeps while there is work."""


class HangWatch:
    """A thread that looks at the time since the last forward pass began, while there is work.

    Ending the process loses nothing: what was answered is stored.
    """

    def __init__(self) -> None:
        self._within_s = 0.0
        self._heard = 0.0
        self._depth = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def hear(self, *_: Any) -> None:
        """A forward pass begins; has the form of a torch pre-hook."""
        self._heard = time.monotonic()

    @contextmanager
    def at_work(self, within_s: float) -> Iterator[None]:
        """From here to its end the model has to be heard of every `within_s` seconds."""
        with self._changed:
            self._within_s = within_s
            self.hear()
            self._depth += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="rap-hang-watch", daemon=True)
                self._thread.start()
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._depth -= 1

    def _look(self) -> None:
        while True:
            with self._changed:
                while not self._depth:
                    self._changed.wait()
                left = self._heard + self._within_s - time.monotonic()
            if left <= 0:
                self._end()
            time.sleep(max(0.05, min(left, LOOK_S)))

    def _end(self) -> None:
        line = (
            f"error: engine hf: no step of the model ended in {self._within_s:g} s (execution.answer_within_s), so it hangs and "
            "this process is ended; what was sampled is stored, the same command goes on\n"
        )
        os.write(2, line.encode())
        os._exit(1)
