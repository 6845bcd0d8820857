"""A rollout actor that answers from a rule instead of a model: for what the driver does with any engine."""

from __future__ import annotations

import os
import re
import time
import zlib
from pathlib import Path


class StandIn:
    """Right in the image arm as often as the number in the prompt says; `die`, `fail` and `silent` name numbers.

    One with `tally` writes a byte there for each prompt that it answers; one with `waits_for` = (tally, n) holds its own
    answers back until n are there, for two minutes at most.
    """

    def __init__(self):
        self.configure()

    def configure(self, die=(), fail=(), silent=(), tally=None, waits_for=None, blind=False, unreadable=""):
        self.die, self.fail, self.silent, self.blind = set(die), set(fail), set(silent), blind
        self.tally, self.waits_for = tally, waits_for
        self.unreadable, self.log = unreadable, []

    def rap_begin(self, processor, end_ids, measure):
        self.log.append(("begin", type(processor).__name__, end_ids, measure))
        return self.unreadable if measure else ""

    def rap_stop_measuring(self):
        self.log.append(("stop_measuring",))

    def rap_end(self, measure):
        self.log.append(("end", measure))

    def wake_up(self):
        self.log.append(("wake_up",))

    def sleep(self):
        self.log.append(("sleep",))

    def calls(self):
        return self.log

    def rap_sample(self, prompt, label, images, seeds, params, max_length, measure):
        number = int(re.search(r"number (\d+)", prompt).group(1))
        self.log.append(("sample", prompt, label, images is not None, tuple(seeds), measure))
        self._take_turns()
        if number in self.die:
            os._exit(1)
        if number in self.fail:
            return [{"error": "ValueError: this row is odd"} for _ in seeds]
        return [self._answer(number, images, seed, measure) for seed in seeds]

    def rap_attention(self, prompt, images, responses, max_length):
        self.log.append(("attention", prompt, len(responses)))
        return [{"psi_window_max_10": -3.0} for _ in responses]

    def _take_turns(self):
        if self.tally:
            with Path(self.tally).open("ab") as file:
                file.write(b".")
        if self.waits_for:
            tally, wanted = Path(self.waits_for[0]), self.waits_for[1]
            until = time.monotonic() + 120
            while time.monotonic() < until and not (tally.exists() and tally.stat().st_size >= wanted):
                time.sleep(0.02)

    def _answer(self, number, images, seed, measure):
        sees = images is not None or self.blind
        right = sees and zlib.crc32(str(seed).encode()) % 4 < number % 5
        answer = {
            "text": f"{number} {seed}",
            "token_ids": [number, 7, 8],
            "prompt_tokens": 9,
            "truncated": False,
            "reward": None if number in self.silent else float(right),
        }
        return {**answer, "attention": {"psi_window_max_10": -5.0}} if measure else answer
