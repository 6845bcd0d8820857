"""Responses in batches that fit into memory: longest first, halved where memory runs out or where one of them fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from rap_plugin.engines.hf.chat import ModelInputs
from rap_plugin.engines.hf.memory import is_fatal, is_out_of_memory, release_memory
from rap_plugin.errors import RapError, one_line


@dataclass(frozen=True, slots=True)
class ResponseJob:
    """One response that is to be sampled or measured."""

    prompt: int
    """Which of the call's prompts it answers."""
    response: int
    """Which of that prompt's: the index of a rollout, or the number of a response that is there."""
    inputs: ModelInputs
    """Of the prompt; the same object for all its responses."""


Run = Callable[[Sequence[ResponseJob]], None]
Fail = Callable[[ResponseJob, str], None]


class BatchRunner:
    """Remembers what has fitted, so that what ran out of memory once is not tried again."""

    def __init__(self, batch_size: int, device: torch.device) -> None:
        self.batch_size = batch_size
        self._device = device
        self._fits: float = float("inf")
        """Rows x tokens that are known to fit; falls when memory runs out."""

    def run(
        self,
        jobs: Sequence[ResponseJob],
        tokens: Callable[[ResponseJob], int],
        run: Run,
        fail: Fail,
        cap: float = float("inf"),
    ) -> None:
        """Runs all jobs in batches of at most `cap` rows x tokens; `fail` gets a job that fails alone, and the reason.

        The jobs of one prompt stay side by side, so that they share its prefill.
        """
        waiting = sorted(jobs, key=lambda job: (-job.inputs.length, job.prompt, job.response))
        while waiting:
            size, longest = self._first_batch(waiting, tokens, cap)
            batch, waiting = waiting[:size], waiting[size:]
            reason, memory = _attempt(run, batch)
            if not reason:
                continue
            if memory:
                release_memory(self._device)
                self._fits = min(self._fits, longest * size / 2)
            if size == 1:
                fail(batch[0], f"out of memory with one response: {reason}" if memory else reason)
            elif memory:
                waiting = batch + waiting
            else:
                # Not a matter of size: look for the one that fails, in halves, and go on with the others.
                _bisect(_halves(batch), run, fail)

    def _first_batch(
        self, waiting: Sequence[ResponseJob], tokens: Callable[[ResponseJob], int], cap: float
    ) -> tuple[int, int]:
        """How many of the first jobs go together, and the tokens of the longest of them."""
        size, longest = 0, 0
        for job in waiting[: self.batch_size]:
            wider = max(longest, tokens(job))
            if size and wider * (size + 1) > min(self._fits, cap):
                break
            longest, size = wider, size + 1
        return size, longest


def by_prompt(batch: Sequence[ResponseJob]) -> list[list[ResponseJob]]:
    """A batch as runs of the same prompt."""
    return [list(group) for _, group in groupby(batch, key=lambda job: job.prompt)]


def _bisect(parts: Iterable[Sequence[ResponseJob]], run: Run, fail: Fail) -> None:
    for part in parts:
        reason, _ = _attempt(run, part)
        if reason and len(part) == 1:
            fail(part[0], reason)
        elif reason:
            _bisect(_halves(part), run, fail)


def _halves(batch: Sequence[ResponseJob]) -> tuple[Sequence[ResponseJob], Sequence[ResponseJob]]:
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]


def _attempt(run: Run, batch: Sequence[ResponseJob]) -> tuple[str, bool]:
    """Runs a batch; returns the reason of its failure (empty: none) and whether memory ran out.

    The exception itself, whose frames hold tensors, is let go here.
    """
    try:
        run(batch)
    except Exception as error:
        if is_fatal(error):
            raise RapError(
                f"the GPU stopped working ({one_line(error)}); start the command again, stored rollouts are kept"
            ) from None
        return one_line(error), is_out_of_memory(error)
    return "", False
