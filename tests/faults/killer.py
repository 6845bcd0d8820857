"""A command of rap that is killed at a given point: inside the n-th call of a function, so many seconds after it begins or at its end.

python -m tests.faults.killer sampling 3 0.005 select POOL --model M ..
python -m tests.faults.killer replacing 0 0 FILE.py ..      # a script instead of `rap`
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from importlib import import_module
from itertools import count
from typing import Any

STORE = "rap_plugin.evidence.store:EvidenceStore"
PLACES = {
    "ingest": f"{STORE}.replace_pool",
    "sampling": f"{STORE}.add_rollouts",
    "grading": f"{STORE}.set_grades",
    "attention": f"{STORE}.set_attention",
    "deciding": "rap_plugin.pipeline.select:make_selection",
    "scores": "rap_plugin.run_dir.tables:write_scores",
    "quarantine": "rap_plugin.run_dir.tables:write_quarantine",
    "selected": "rap_plugin.run_dir.tables:write_selected",
    "report": "rap_plugin.report:write_report",
    "export": "rap_plugin.exports.jsonl:write",
    "replacing": "os:replace",
}
"""Where: a module, and a function or a method in it."""


def arm(place: str, number: int, after: float) -> None:
    """Kills this process in the `number`-th call (from 0) of a place, `after` seconds from its begin (0: before anything of it)."""
    module, _, path = PLACES[place].partition(":")
    *owners, name = path.split(".")
    owner: Any = import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    real, calls = getattr(owner, name), count()

    def hooked(*values: Any, **options: Any) -> Any:
        mine = next(calls) == number
        if mine and after:
            timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL))
            timer.daemon = True
            timer.start()
        elif mine:
            os.kill(os.getpid(), signal.SIGKILL)
        found = real(*values, **options)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(owner, name, hooked)


if __name__ == "__main__":
    where, which, seconds, *words = sys.argv[1:]
    arm(where, int(which), float(seconds))
    if words[0].endswith(".py"):
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
    else:
        from rap_plugin.cli import main

        main(words)
