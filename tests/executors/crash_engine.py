"""A plugin file: the ability engine with ways to go wrong in a worker process.

Options of `model.options`: `pids` (a file that gets the process id at every call), `poison` (the number of a problem
over which the process dies, or "all"), `raise` (every call fails), `shifty` (every process has other weights).
"""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rap_plugin import hookimpl
from rap_plugin.rollout import Request, Response, Sampling

_FILE = Path(__file__).parent.parent / "ability_engine.py"
_spec = importlib.util.spec_from_file_location("rap_tests_ability_engine", _FILE)
assert _spec is not None
assert _spec.loader is not None
_ability = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_ability)


class CrashEngine(_ability.AbilityEngine):  # type: ignore[misc, name-defined]
    name = "crash"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.options = config.options
        if self.options.get("shifty"):
            self.identity = replace(self.identity, revision=f"process-{os.getpid()}")

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Response]]:
        if "pids" in self.options:
            with Path(self.options["pids"]).open("a") as file:
                file.write(f"{os.getpid()}\n")
        if self.options.get("raise"):
            raise ValueError("the engine\nbroke")
        poison = str(self.options.get("poison", ""))
        if poison == "all" or any(f"number {poison}?" in request.prompt.text for request in requests):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().generate(requests, sampling)  # type: ignore[no-any-return]


@hookimpl
def rap_register_engines(register: Any) -> None:
    register("crash", CrashEngine)
