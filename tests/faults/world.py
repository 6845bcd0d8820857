"""A pool, the undisturbed run over it, and the same command as a process that faults can be done to."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

PLUGIN = Path(__file__).parents[1] / "ability_engine.py"
ROOT = Path(__file__).parents[2]
FILES = ("scores.parquet", "selected.parquet", "quarantine.parquet")
LIMIT_S = 240


class Broken(AssertionError):
    """A promise that did not hold, in words."""


class Skipped(Exception):
    """Why a fault cannot be done here."""


@dataclass(frozen=True)
class World:
    """What every fault starts from."""

    folder: Path
    pool: Path
    quiet: Path
    """The run that nothing disturbed."""

    def command(self, run: Path, log: Path, pause: float = 0.03, plugins: tuple[Path, ...] = ()) -> list[str]:
        """`rap select` over the pool, as words."""
        words = [sys.executable, "-m", "rap_plugin.cli", "select", str(self.pool), "--model", "m"]
        words += ["--engine", "ability", "--out", str(run), "--grader", "text", "--lambda-c", "0.3", "--quiet"]
        for plugin in (PLUGIN, *plugins):
            words += ["--plugin", str(plugin)]
        return [*words, "--set", f"model.options={{log: {log}, pause: {pause}}}"]

    def select(self, run: Path, log: Path, limit: float = LIMIT_S, **options: object) -> tuple[int, str]:
        """Runs it for `limit` seconds at most: status (-9 where it was killed then) and standard error."""
        return call(self.command(run, log, **options), limit)  # type: ignore[arg-type]

    def completes(self, run: Path, log: Path) -> None:
        """The same command ends, with the undisturbed run's bytes, and asks for nothing that is stored."""
        before, asked = stored(run), len(lines(log))
        self.ends(self.command(run, log, pause=0), run)
        if again := before & set(lines(log)[asked:]):
            raise Broken(f"{len(again)} stored rollouts were sampled again")

    def ends(self, words: list[str], run: Path) -> None:
        """The command ends well, with the undisturbed run's bytes."""
        status, said = call(words)
        if status != 0:
            raise Broken(f"the same command ended with {status}: {said[-300:]}")
        require_same(run, self.quiet)


@dataclass(frozen=True)
class Fault:
    """A kind of fault and how often `make faults` does it."""

    name: str
    held: str
    """What is checked after each."""
    times: int
    do: Callable[[World, Path, Random], int]
    """Does it once, in a folder of its own; returns how many processes a signal ended."""


SAME = "the same command ends with the same bytes, no stored rollout is sampled again, no file is half written"


def make_world(folder: Path, samples: int = 60) -> World:
    """Writes the pool and the undisturbed run."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for i in range(samples):
        target = io.BytesIO()
        Image.new("RGB", (8, 8), (i * 37 % 256, i * 91 % 256, i % 256)).save(target, "PNG")
        pictures.append([{"bytes": target.getvalue(), "path": f"{i}.png"}])
    pictures[-1][0]["bytes"] = pictures[-1][0]["bytes"][:40]  # one row for the quarantine
    images = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    table = pa.table(
        {
            "problem": [f"<image>What is number {i}?" for i in range(samples)],
            "answer": [str(i) for i in range(samples)],
            "images": pa.array(pictures, images),
        }
    )
    pq.write_table(table, folder / "pool.parquet", row_group_size=16)
    world = World(folder, folder / "pool.parquet", folder / "quiet")
    status, said = world.select(world.quiet, folder / "quiet.log", pause=0)
    if status != 0:
        raise Broken(f"the undisturbed run ended with {status}: {said[-300:]}")
    return world


def call(words: list[str], limit: float = LIMIT_S, kill: int = signal.SIGKILL) -> tuple[int, str]:
    """A command's status and standard error; after `limit` seconds it gets the signal."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    try:
        said = process.communicate(timeout=limit)[1]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, kill)
        said = process.communicate()[1]
    return process.returncode, said


def lines(log: Path) -> list[str]:
    """What engines were asked, in order."""
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


def stored(run: Path) -> set[str]:
    """The rollouts that a run's evidence holds, as the log names them."""
    if not (run / "evidence.sqlite").exists():
        return set()
    try:
        with sqlite3.connect(run / "evidence.sqlite") as db:
            found = db.execute("SELECT sample_id || ' ' || arm || ' ' || rollout FROM evidence").fetchall()
    except sqlite3.OperationalError:  # killed before the tables were made
        return set()
    return {row[0] for row in found}


def require_same(run: Path, whole: Path) -> None:
    """The files of two runs are the same, byte for byte."""
    for name in FILES:
        if (run / name).read_bytes() != (whole / name).read_bytes():
            raise Broken(f"{name} differs from the undisturbed run's")


def require_whole_files(folder: Path) -> None:
    """No file under its final name is half written."""
    for path in folder.rglob("*"):
        if path.suffix == ".parquet":
            pq.read_table(path)
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".html" and not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
            raise Broken(f"{path.name} is cut")


def require_one_line(status: int, said: str) -> None:
    """A refusal for people: status 1, no traceback, the reason in the last line."""
    last = said.strip().splitlines()[-1] if said.strip() else ""
    if status != 1 or "Traceback" in said or not last.startswith("rap: "):
        raise Broken(f"status {status}, said: {said[-300:]}")
