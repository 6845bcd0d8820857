"""Ray's processes lost under a running `rap select`: a worker, the head's server (GCS), the node's own process (raylet)."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.faults.world import LIMIT_S, ROOT, Broken, Fault, Skipped, World, lines, require_one_line, stored

PLUGIN = ROOT / "tests" / "executors" / "crash_engine.py"
ENDED = "the run ends by itself or with one line; then the same command ends with the same bytes, no stored rollout sampled again"


def _lost(find: Callable[[int, Path], list[int]]) -> Callable[[World, Path, Random], int]:
    def do(world: World, folder: Path, chance: Random) -> int:
        if importlib.util.find_spec("ray") is None:
            raise Skipped("Ray is not installed")
        run, log, pids = folder / "run", folder / "log", folder / "pids"
        words = world.command(run, log, pause=0.2, plugins=(PLUGIN,))
        words[words.index("ability")] = "crash"
        words[-1] = words[-1].replace("}", f", pids: {pids}}}")
        words += ["--executor", "ray", "--workers", "2"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
        try:
            wanted, deadline = chance.randint(1, 300), time.monotonic() + LIMIT_S
            while process.poll() is None and len(lines(log)) < wanted and time.monotonic() < deadline:
                time.sleep(0.02)
            if process.poll() is None and not lines(log):
                raise Broken(f"no worker has begun within {LIMIT_S} s")
            victims, kept, asked = find(process.pid, pids), stored(run), len(lines(log))
            for victim in victims if process.poll() is None else []:
                os.kill(victim, signal.SIGKILL)
            said = process.communicate(timeout=LIMIT_S)[1]
        except subprocess.TimeoutExpired:
            raise Broken("the run hangs") from None
        finally:
            process.kill()
            for left in Path("/tmp").glob(f"rap-ray-{process.pid}-*"):
                shutil.rmtree(left, ignore_errors=True)
        if process.returncode != 0:
            require_one_line(process.returncode, said)
        if again := kept & set(lines(log)[asked:]):
            raise Broken(f"{len(again)} stored rollouts were sampled again")
        kept, asked = stored(run), len(lines(log))
        world.ends(words, run)
        if again := kept & set(lines(log)[asked:]):
            raise Broken(f"{len(again)} stored rollouts were sampled again by the same command")
        return len(victims)

    return do


def _worker(_: int, pids: Path) -> list[int]:
    """The process of the worker that was asked last."""
    return [int(line) for line in lines(pids)[-1:]]


def _server(program: str) -> Callable[[int, Path], list[int]]:
    def find(command: int, _: Path) -> list[int]:
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().decode(errors="replace")
            except OSError:
                continue
            # Of this command's own cluster only: its folder has the command's process id in its name.
            if f"/rap-ray-{command}-" in words and words.split("\0")[0].endswith(f"/{program}"):
                found.append(int(entry.parent.name))
        return found

    return find


LOST = [
    Fault("Ray worker killed", ENDED, 2, _lost(_worker)),
    Fault("Ray head's server (GCS) killed", ENDED, 2, _lost(_server("gcs_server"))),
    Fault("Ray node's process (raylet) killed", ENDED, 2, _lost(_server("raylet"))),
]
