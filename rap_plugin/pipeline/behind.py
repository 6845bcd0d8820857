"""Work that is done behind: a thread handles what it is given, while the caller goes on."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

Task = TypeVar("Task")

GROUP = 64
"""Tasks handled in one go: one commit for many answers that came together, and few that a killed run loses."""

MOST_WAITING = 4096
"""Tasks that wait; then the caller waits too."""


class Behind(Generic[Task]):
    """Calls `handle` with all tasks that wait, up to a group of them, in order and from one thread.

    What `handle` raises is raised by the next `put`, or at the end. Leaving the block waits until everything is handled;
    leaving it with an exception does so as well where `finish` says that nothing may be lost.
    """

    def __init__(self, handle: Callable[[list[Task]], None], name: str, *, finish: bool) -> None:
        self._handle, self._finish = handle, finish
        self._waiting: deque[Task] = deque()
        self._closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def put(self, task: Task) -> None:
        """Hands over a task; waits where thousands wait already."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < MOST_WAITING or self._error is not None)
            if self._error is not None:
                raise self._error
            self._waiting.append(task)
            self._changed.notify_all()

    def __enter__(self) -> Behind[Task]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            if error is not None and not self._finish:
                self._waiting.clear()
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def _run(self) -> None:
        while group := self._next():
            try:
                self._handle(group)
            except BaseException as error:
                with self._changed:
                    self._error = error
                    self._waiting.clear()
                    self._changed.notify_all()
                return

    def _next(self) -> list[Task]:
        """The next group, empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
            self._changed.notify_all()
            return group
