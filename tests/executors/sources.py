"""Prompts that are ready, for what feeds engines."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from rap_plugin.executors.batches import Batch, BatchItem
from rap_plugin.rollout import Prompt, Request


class ListSource:
    """Batches with their requests, all built; some may not be ready at the first look (`late`)."""

    def __init__(self, entries: Iterable[tuple[Batch, tuple[Request, Any]]], late: int = 0) -> None:
        self.entries = deque(entries)
        self.late, self.looks = late, 0

    def wait(self) -> Batch | None:
        return self.entries[0][0] if self.entries else None

    def peek(self) -> Batch | None:
        self.looks += 1
        return self.wait() if not self.late or self.looks % self.late else None

    def take(self) -> tuple[Batch, tuple[Request, Any]]:
        return self.entries.popleft()


def one_prompt(number: int, tokens: int = 10, rollouts: int = 2) -> Batch:
    item = BatchItem(number, number, f"{number:032x}", tuple(range(rollouts)), tokens=tokens)
    return Batch("image", (item,), (number,))


def built(batches: Iterable[Batch], engine: Any, text: str = "What is number {}?") -> list[tuple[Batch, Any]]:
    """Each batch with the request and what `engine` prepares of it."""
    found = []
    for batch in batches:
        (item,) = batch.items
        request = Request(Prompt(item.id, batch.arm, text.format(item.row)), item.rollouts)
        found.append((batch, (request, engine.prepare(request))))
    return found
