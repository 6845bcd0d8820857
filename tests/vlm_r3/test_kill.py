"""SIGKILL during `rap r3 run`: stored traces are not written again, each row is there once, and the bytes are the same."""

from __future__ import annotations

import io
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

PLUGIN = Path(__file__).parents[1] / "turns_engine.py"
ROWS, KILLS = 120, 5


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    rows = []
    for number in range(ROWS):
        buffer = io.BytesIO()
        Image.new("RGB", (112, 84), (number, 2 * number, 90)).save(buffer, "PNG")
        rows.append(
            {"question": f"number {number}", "answer": "ABCD"[number % 4 - number % 2], "images": [buffer.getvalue()]}
        )
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pool.parquet")
    return tmp_path / "pool.parquet"


def start(pool: Path, run: Path, log: Path) -> subprocess.Popen[bytes]:
    options = json.dumps({"log": str(log), "pause": 0.01})
    arguments = [*("r3", "run", str(pool), "--model", "m", "--engine", "turns", "--plugin", str(PLUGIN)), "--quiet"]
    arguments += ["--out", str(run), "--grader", "text", "--set", f"model.options={options}"]
    arguments += ["--set", "r3.min_crop_pixels=784"]
    return subprocess.Popen(
        [sys.executable, "-m", "rap_plugin.cli", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def kept(run: Path) -> dict[str, tuple]:
    """By question: the trace and everything that is known of its answer, times left out."""
    if not (run / "evidence.sqlite").exists():
        return {}
    with sqlite3.connect(run / "evidence.sqlite") as db:
        try:
            found = db.execute(
                "SELECT question, trace, rollout, status, finish, tokens, verdict, text, token_ids, extracted, attempts "
                "FROM traces JOIN rollouts USING (sample, probe, rollout) JOIN responses USING (sample, probe, rollout) "
                "JOIN samples USING (sample)"
            ).fetchall()
        except sqlite3.OperationalError:  # killed before the tables were made
            return {}
        counts = [
            db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("traces", "rollouts", "responses")
        ]
    assert len({row[0] for row in found}) == len(found), "a row is there twice"
    assert counts == [len(found)] * 3, "an answer without its trace, or a trace without its answer"
    return {row[0].removeprefix("<image>"): row[1:] for row in found}


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
