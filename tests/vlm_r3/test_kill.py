"""SIGKILL during `rap r3 run`: stored traces are not written again, each row is there once, and the bytes are the same."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.traces import kept, words, write_pool

ROWS, KILLS = 120, 5


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    write_pool(tmp_path / "pool.parquet", ROWS)
    return tmp_path / "pool.parquet"


def start(pool: Path, run: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rap_plugin.cli", *words(pool, run, log, 0.01)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_with_every_trace_once_and_the_same_bytes(pool: Path, tmp_path: Path) -> None:
    quiet = start(pool, tmp_path / "quiet", tmp_path / "quiet.log")
    assert quiet.wait(timeout=120) == 0, quiet.stderr.read().decode()
    whole = kept(tmp_path / "quiet")
    assert len(whole) == ROWS
    assert len((tmp_path / "quiet.log").read_text().splitlines()) == ROWS

    moments, log, run, kills = random.Random(3), tmp_path / "log", tmp_path / "run", 0
    log.touch()
    for _ in range(60):
        before, begun = kept(run), len(log.read_text().splitlines())
        process = start(pool, run, log)
        if kills < KILLS:
            # Not before it has begun a row, or only the start of the program would be hit.
            wait_for_lines(log, begun + moments.randrange(1, 50), process)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
        process.wait(timeout=120)
        now = {f"number {line}" for line in log.read_text().splitlines()[begun:]}
        assert not now & set(before), "a stored row was written again"
        after = kept(run)  # grades may have come since
        assert {question: after[question][0] for question in before} == {name: row[0] for name, row in before.items()}
        if process.returncode == 0:
            break
    assert process.returncode == 0
    assert kills == KILLS
    assert kept(run) == whole


def wait_for_lines(log: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None and len(log.read_text().splitlines()) < count:
        time.sleep(0.01)
