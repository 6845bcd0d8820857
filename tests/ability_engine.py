"""A plugin file with an engine that answers by ability and logs what it was asked: for tests of the pipeline.

Every problem "What is number N?" has an ability per arm, a hash of N; a rollout answers N rightly with that
probability, drawn from its own seed. Attention statistics are drawn the same way. Nothing is random twice.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rap_plugin import hookimpl
from rap_plugin.engines.base import not_measured
from rap_plugin.evidence.variants import STATISTIC_COLUMNS
from rap_plugin.rollout import Attention, ModelIdentity, Prompt, Request, Response, Sampling, rollout_seed


class AbilityEngine:
    name = "ability"
    measures_attention = True

    def __init__(self, config: Any) -> None:
        self.identity = ModelIdentity(config.id, f"ability-{config.id}")
        self.batch_size = 20
        self.log = Path(config.options["log"]) if "log" in config.options else None
        self.pause = float(config.options.get("pause", 0))
        self.fail = str(config.options.get("fail", ""))
        # Files of problem numbers (or `all`) that the engine fails on while they exist.
        self.broken = config.options.get("broken", "")
        self.overlong = str(config.options.get("overlong", ""))
        self.attention_broken = config.options.get("attention_broken", "")
        # So many rollouts of every prompt are cut off at the token limit.
        self.cut = int(config.options.get("cut", 0))
        self.attention_log = config.options.get("attention_log", "")
        if "processor" in config.options:
            self.identity = replace(self.identity, processor_hash=str(config.options["processor"]))

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Response]]:
        time.sleep(self.pause)
        rows = [
            [self._answer(request.prompt, rollout, sampling) for rollout in request.rollouts] for request in requests
        ]
        if self.log:
            lines = [f"{r.prompt.sample_id} {r.prompt.arm} {rollout}\n" for r in requests for rollout in r.rollouts]
            with self.log.open("a") as file:
                file.write("".join(lines))
                file.flush()
                os.fsync(file.fileno())
        return rows

    def _answer(self, prompt: Prompt, rollout: int, sampling: Sampling) -> Response:
        number = int(re.search(r"number (\d+)", prompt.text)[1])  # type: ignore[index]
        if self.fail == f"{number}":
            return Response(rollout, status="engine_error", error="this one fails on purpose")
        if self.overlong == f"{number}":
            return Response(rollout, status="overlong", error="too many tokens")
        if _names(self.broken, number):
            return Response(rollout, status="engine_error", error=f"HTTP 500 for number {number}")
        ability = int(hashlib.sha256(f"{number} {prompt.arm}".encode()).hexdigest()[:4], 16) / 65535
        if prompt.arm == "blind":
            ability /= 3
        draw = np.random.default_rng(rollout_seed(sampling.seed, prompt.sample_id, prompt.arm, rollout)).random()
        if self.cut and rollout < self.cut:
            return Response(rollout, "Let me think about", (1, 2, rollout), "length", 20)
        text = f"I think it is \\boxed{{{number if draw < ability else number + 1}}}"
        # The last token says which rollout this is, so that its attention can be drawn again from the tokens alone.
        return Response(rollout, text, (*range(5 + number % 3), rollout), "stop", 20)

    def attention(
        self, prompts: Sequence[tuple[Prompt, Sequence[Sequence[int]]]], sampling: Sampling
    ) -> list[list[Attention]]:
        time.sleep(self.pause)
        if self.attention_log:
            with Path(self.attention_log).open("a") as file:
                file.write(
                    "".join(f"{prompt.sample_id} {ids[-1]}\n" for prompt, responses in prompts for ids in responses)
                )
        return [[self._measure(prompt, ids, sampling) for ids in responses] for prompt, responses in prompts]

    def _measure(self, prompt: Prompt, ids: Sequence[int], sampling: Sampling) -> Attention:
        number = int(re.search(r"number (\d+)", prompt.text)[1])  # type: ignore[index]
        if _names(self.attention_broken, number):
            return not_measured("out of memory")
        draws = np.random.default_rng(rollout_seed(sampling.seed, prompt.sample_id, "image", 100 + ids[-1]))
        values = draws.normal(-6, 4, len(STATISTIC_COLUMNS)).tolist()
        return Attention(dict(zip(STATISTIC_COLUMNS, values, strict=True)))

    def close(self) -> None:
        pass


def _names(file: str, number: int) -> bool:
    if not file or not Path(file).exists():
        return False
    numbers = Path(file).read_text().split()
    return str(number) in numbers or "all" in numbers


@hookimpl
def rap_register_engines(register: Any) -> None:
    register("ability", AbilityEngine)
