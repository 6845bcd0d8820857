"""A plugin file: the ability engine fed prompt by prompt, with lanes that end prompts in an order drawn by chance.

Options of `model.options`, beside those of the ability engine: `lanes`, `order` (seed of the order), `unseen` (every
n-th measured response is not seen while it is sampled), `poison` (the number of a problem over which the process dies),
`dies_after` (prompts that are ended before the process kills itself), `hangs` (a file: the first process that finds it
missing makes it, and then ends nothing any more).
"""

from __future__ import annotations

import importlib.util
import os
import random
import re
import signal
import time
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from rap_plugin import hookimpl
from rap_plugin.rollout import Attention, Request, Response, Sampling

_FILE = Path(__file__).parent / "ability_engine.py"
_spec = importlib.util.spec_from_file_location("rap_tests_ability_engine", _FILE)
assert _spec is not None
assert _spec.loader is not None
_ability = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_ability)

Row = list[tuple[Response, Attention | None]]


class StreamEngine(_ability.AbilityEngine):  # type: ignore[misc, name-defined]
    name = "stream"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        options = config.options
        self.lanes = int(options.get("lanes", 1))
        self.chance = random.Random(int(options.get("order", 0)))
        self.unseen = int(options.get("unseen", 0))
        self.poison = str(options.get("poison", ""))
        self.dies_after = int(options.get("dies_after", -1))
        self.hangs = options.get("hangs", "")
        self.hanging = False
        self.at_work: dict[int, tuple[Request, Sampling, bool]] = {}
        self.count = self.ended = self.measured = 0

    def begin(self, sampling: Sampling) -> None:
        pass

    def prepare(self, request: Request) -> str:
        return request.prompt.text

    def submit(self, lane: int, request: Request, prepared: str, sampling: Sampling, *, measure: bool) -> Hashable:
        assert prepared == request.prompt.text
        assert 0 <= lane < self.lanes
        self.count += 1
        self.at_work[self.count] = (request, sampling, measure)
        return self.count

    def completed(self) -> list[tuple[Hashable, Row]]:
        time.sleep(self.pause)
        self._hang()
        tickets = self.chance.sample(sorted(self.at_work), min(self.chance.randrange(3), len(self.at_work)))
        return [(ticket, self._end(*self.at_work.pop(ticket))) for ticket in tickets]

    def abandon(self) -> None:
        self.at_work.clear()

    def _end(self, request: Request, sampling: Sampling, measure: bool) -> Row:
        if self.poison and re.search(rf"number {self.poison}\b", request.prompt.text):
            os.kill(os.getpid(), signal.SIGKILL)
        self.ended += 1
        if self.ended > self.dies_after >= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        (responses,) = self.generate([request], sampling)
        if not measure:
            return [(response, None) for response in responses]
        (attention,) = self.attention([(request.prompt, [one.token_ids or (0,) for one in responses])], sampling)
        row: Row = []
        for response, seen in zip(responses, attention, strict=True):
            self.measured += 1
            lost = response.status != "ok" or (self.unseen and self.measured % self.unseen == 0)
            row.append((response, None if lost else seen))
        return row

    def _hang(self) -> None:
        if self.hangs and not Path(self.hangs).exists() and self.at_work:
            Path(self.hangs).touch()
            self.hanging = True
        while self.hanging:
            time.sleep(0.05)


@hookimpl
def rap_register_engines(register: Any) -> None:
    register("stream", StreamEngine)
