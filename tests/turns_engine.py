"""A plugin file: an engine that writes turns with crops inside them from a rule instead of a model, and logs what it begins.

A question "number N" is answered after N % 3 looks, the second of which is sometimes the first again. Options of `model.options`:
`log` (a file: one line for every turn that is begun) and `pause` (seconds for each segment).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rap_plugin import hookimpl
from rap_plugin.engines.turns import Segment, Turn, TurnQueue, VisionFacts
from rap_plugin.rollout import ModelIdentity, Sampling


class TurnsEngine:
    name = "turns"
    measures_attention = False

    def __init__(self, config: Any) -> None:
        self.identity = ModelIdentity(config.id, f"turns-{config.id}")
        self.batch_size = 8
        self.log = Path(config.options["log"])
        self.pause = float(config.options.get("pause", 0))

    def vision(self) -> VisionFacts:
        return VisionFacts("qwen2_5_vl", 28)

    def continue_turns(self, queue: TurnQueue, sampling: Sampling, stops: Sequence[str]) -> None:
        while turns := queue.take(self.batch_size):
            for turn in turns:
                if not turn.parts:
                    self._note(turn)
                time.sleep(self.pause)
                text = said(turn)
                finish: Any = "closed" if text.endswith("}") else "end"
                queue.give(turn, Segment(tuple(text.encode()), text, finish, 10 + turn.drawn))

    def _note(self, turn: Turn) -> None:
        with self.log.open("a") as file:
            file.write(f"{number_of(turn)}\n")
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        pass


def number_of(turn: Turn) -> int:
    return int(re.search(r"number (\d+)", turn.prompt.text)[1])  # type: ignore[index]


def said(turn: Turn) -> str:
    number, looks = number_of(turn), sum(part.sampled for part in turn.parts)
    if looks >= number % 3:
        return f"so <answer>{'ABCD'[number % 4]}</answer>"
    x = number % 20 if number % 5 else 7 * looks
    return f'look {looks} {{"bbox_2d": [{x}, {looks}, {x + 40}, 30]}}'


@hookimpl
def rap_register_engines(register: Any) -> None:
    register("turns", TurnsEngine)
