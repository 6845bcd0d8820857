"""The faults, one function each: do it once, at a moment or place that the generator draws, and hold what is promised.

A function returns nothing when all held, raises `Broken` when a promise did not, and `Skipped` where this machine cannot do it.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.faults.lost import LOST
from tests.faults.points import POINTS
from tests.faults.world import (
    FILES,
    SAME,
    Broken,
    Fault,
    Skipped,
    World,
    call,
    lines,
    require_one_line,
    require_same,
    require_whole_files,
    stored,
)

REFUSED = "one line, status 1, and then the same command ends with the same bytes"


def _rap(*words: object) -> list[str]:
    return [sys.executable, "-m", "rap_plugin.cli", *map(str, words)]


def killed_select(world: World, folder: Path, chance: random.Random) -> int:
    """SIGKILL at a random moment of a run, up to six times in a row."""
    run, log, kills = folder / "run", folder / "log", 0
    for _ in range(chance.randint(1, 6)):
        status, _ = world.select(run, log, limit=chance.uniform(0.3, 6.0))
        kills += status == -signal.SIGKILL
        if run.exists():
            require_whole_files(run)
    world.completes(run, log)
    return kills


def terminated_select(world: World, folder: Path, chance: random.Random) -> int:
    """SIGTERM or Ctrl-C at a random moment."""
    run, log = folder / "run", folder / "log"
    kind = chance.choice([signal.SIGTERM, signal.SIGINT])
    status, said = call(world.command(run, log), chance.uniform(1.5, 5.0), kind)
    if "Traceback" in said and "rap_plugin" in said:
        raise Broken(f"{kind.name} ended with {status} and a traceback: {said[-300:]}")
    world.completes(run, log)
    return 0


def cut_log(world: World, folder: Path, chance: random.Random) -> int:
    """A power cut, simulated: a killed run whose write-ahead log lost its end at a random byte."""
    run, log = folder / "run", folder / "log"
    status, _ = world.select(run, log, limit=chance.uniform(2.0, 5.0))
    wal = run / "evidence.sqlite-wal"
    if wal.exists():
        os.truncate(wal, chance.randint(0, wal.stat().st_size))
    (run / "evidence.sqlite-shm").unlink(missing_ok=True)
    world.completes(run, log)
    return int(status == -signal.SIGKILL)


def damaged_evidence(world: World, folder: Path, chance: random.Random) -> int:
    """Evidence cut, or overwritten in a random place of 1 to 4,096 bytes: recognised, or without any effect."""
    run = folder / "run"
    shutil.copytree(world.quiet, run)
    path = run / "evidence.sqlite"
    size = path.stat().st_size
    if chance.random() < 0.3:
        os.truncate(path, chance.randint(0, size - 1))
    else:
        with path.open("r+b") as file:
            file.seek(chance.randrange(size))
            file.write(chance.randbytes(min(chance.choice([1, 16, 512, 4096]), size - file.tell())))
    verified, said = call(_rap("verify", run))
    if "Traceback" in said:
        raise Broken(f"verify: {said[-300:]}")
    status, said = call(_rap("decide", run, "--no-report"))
    if status != 0:
        require_one_line(status, said)
    elif any((run / name).read_bytes() != (world.quiet / name).read_bytes() for name in FILES) and verified == 0:
        raise Broken("verify passed, and another selection came out")
    return 0


def _mounted(folder: Path, kilobytes: int) -> Path:
    place = folder / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise Skipped("mounting a small disk needs the right to mount")
    return place


def _unmount(place: Path) -> None:
    subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def full_disk(world: World, folder: Path, chance: random.Random) -> int:
    """The disk is full at a random moment; then there is room."""
    place = _mounted(folder, chance.randint(40, 500))
    try:
        run, log = place / "run", folder / "log"
        status, said = world.select(run, log, pause=0)
        if status != 0:
            require_one_line(status, said)
        subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
        if run.exists():
            require_whole_files(run)
        world.completes(run, log)
    finally:
        _unmount(place)
    return 0


def read_only(world: World, folder: Path, chance: random.Random) -> int:
    """The folder becomes read-only at a random moment; then it can be written again."""
    place = _mounted(folder, 65_536)
    try:
        run, log = place / "run", folder / "log"
        process = subprocess.Popen(
            world.command(run, log), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        time.sleep(chance.uniform(0.5, 4.0))
        # Where files are open for writing the kernel refuses: then a new mount over the same files would be another disk.
        done = subprocess.run(["mount", "-o", "remount,ro", str(place)], capture_output=True)
        said = process.communicate(timeout=240)[1]
        if done.returncode == 0 and process.returncode != 0:
            require_one_line(process.returncode, said)
        _, said = call(_rap("verify", run)) if (run / "scores.parquet").exists() else (0, "")
        if "Traceback" in said:
            raise Broken(f"verify of a read-only run: {said[-300:]}")
        subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
        world.completes(run, log)
    finally:
        _unmount(place)
    return 0


def clock_backwards(world: World, folder: Path, chance: random.Random) -> int:
    """The clock goes back by up to a day at each of its readings, in two runs of which the first is killed."""
    plugin = folder / "clock.py"
    plugin.write_text(
        "import time, random\nreal, chance = time.time, random.Random(" + str(chance.randrange(1 << 30)) + ")\n"
        "time.time = lambda: real() - chance.uniform(0, 86400)\n"
    )
    run, log = folder / "run", folder / "log"
    killed, _ = world.select(run, log, limit=chance.uniform(1.5, 5.0), plugins=(plugin,))
    status, said = world.select(run, log, pause=0, plugins=(plugin,))
    if status != 0:
        raise Broken(f"status {status}: {said[-300:]}")
    world.completes(run, log)
    return int(killed == -signal.SIGKILL)


def two_processes(world: World, folder: Path, chance: random.Random) -> int:
    """Two processes on one run directory: one of them works, the other says so and leaves."""
    run, log = folder / "run", folder / "log"
    words, quiet = world.command(run, log), {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    first = subprocess.Popen(words, **quiet)  # type: ignore[call-overload]
    time.sleep(chance.uniform(0, 2.0))
    second = subprocess.Popen(words, **quiet)  # type: ignore[call-overload]
    ends = [(process.communicate(timeout=240)[1], process.returncode) for process in (first, second)]
    if all(status != 0 for _, status in ends):
        raise Broken(f"neither ended: {ends}")
    for said, status in ends:
        if status != 0:
            require_one_line(status, said)
    if len(lines(log)) != len(set(lines(log))):
        raise Broken("a rollout was sampled by both")
    world.completes(run, log)
    return 0


def taken_away(world: World, folder: Path, chance: random.Random) -> int:
    """The run directory is moved away while it is written; then it is brought back."""
    run, log = folder / "run", folder / "log"
    process = subprocess.Popen(
        world.command(run, log), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    time.sleep(chance.uniform(0.8, 4.0))
    with suppress(FileNotFoundError):
        run.rename(folder / "elsewhere")
    said = process.communicate(timeout=240)[1]
    if (folder / "elsewhere").exists():
        if process.returncode != 0:
            require_one_line(process.returncode, said)
        shutil.rmtree(run, ignore_errors=True)
        (folder / "elsewhere").rename(run)
    world.completes(run, log)
    return 0


def failing_engine(world: World, folder: Path, chance: random.Random) -> int:
    """An engine that fails on a random part of the problems (out of memory, HTTP 500), and then does not."""
    run, log, broken = folder / "run", folder / "log", folder / "broken"
    broken.write_text(" ".join(str(i) for i in range(59) if chance.random() < chance.choice([0.1, 0.5, 1.0])))
    words = world.command(run, log, pause=0)
    words[-1] = words[-1].replace("}", f", broken: {broken}}}")
    status, said = call(words)
    if "Traceback" in said or status not in (0, 1):
        raise Broken(f"status {status}: {said[-300:]}")
    kept = len(stored(run))
    broken.unlink()
    asked = len(lines(log))
    status, said = call(words)
    if status != 0:
        raise Broken(f"status {status}: {said[-300:]}")
    if len(stored(run)) < kept or len(set(lines(log)[asked:])) != len(lines(log)[asked:]):
        raise Broken("evidence was lost or asked for twice")
    require_same(run, world.quiet)
    return 0


FAULTS = [
    Fault("SIGKILL during `rap select`, 1 to 6 times in a row", SAME, 16, killed_select),
    Fault("SIGTERM or Ctrl-C during `rap select`", SAME, 6, terminated_select),
    *POINTS,
    *LOST,
    Fault("power cut: the write-ahead log ends at a random byte", "the same command ends with the same bytes", 10, cut_log),
    Fault("evidence cut or overwritten at random bytes", "told in one line, or without effect; never another selection that verifies", 24, damaged_evidence),
    Fault("disk full", REFUSED, 8, full_disk),
    Fault("folder turns read-only", REFUSED, 6, read_only),
    Fault("clock going backwards", SAME, 5, clock_backwards),
    Fault("two processes on one run directory", "one ends, the other refuses in one line, no rollout twice", 6, two_processes),
    Fault("run directory taken away and brought back", REFUSED, 6, taken_away),
    Fault("engine fails on 10 to 100 % of the problems", "what failed is tried again; then the same bytes, nothing lost or asked twice", 6, failing_engine),
]  # fmt: skip
