"""Region traces under faults: a pool, its `rap r3 run` with an engine that writes turns by a rule, and what is stored of it."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.faults.world import ROOT, Broken, call

PLUGIN = ROOT / "tests" / "turns_engine.py"


def write_pool(path: Path, rows: int) -> None:
    """Questions "number N", each with a picture of its own colour."""
    records = []
    for number in range(rows):
        buffer = io.BytesIO()
        Image.new("RGB", (112, 84), (number, 2 * number, 90)).save(buffer, "PNG")
        gold = "ABCD"[number % 4 - number % 2]
        records.append({"question": f"number {number}", "answer": gold, "images": [buffer.getvalue()]})
    pq.write_table(pa.Table.from_pylist(records), path)


def words(pool: Path, run: Path, log: Path, pause: float) -> list[str]:
    """`rap r3 run`, without its first word."""
    options = json.dumps({"log": str(log), "pause": pause})
    arguments = ["r3", "run", str(pool), "--model", "m", "--engine", "turns", "--plugin", str(PLUGIN), "--quiet"]
    arguments += ["--out", str(run), "--grader", "text", "--set", f"model.options={options}"]
    return [*arguments, "--set", "r3.min_crop_pixels=784"]


def run_traces(place: Path, run: Path, log: Path) -> list[str]:
    """The command over the pool of `make_traces`."""
    return words(place / "pool.parquet", run, log, 0.005)


def make_traces(place: Path, rows: int = 40) -> dict[str, tuple[object, ...]]:
    """The pool and an undisturbed run, made once; returns what that run has stored."""
    if not (place / "pool.parquet").exists():
        place.mkdir(parents=True)
        write_pool(place / "pool.parquet", rows)
        command = run_traces(place, place / "quiet", place / "quiet.log")
        status, said = call([sys.executable, "-m", "rap_plugin.cli", *command])
        if status != 0:
            raise Broken(f"the undisturbed run ended with {status}: {said[-300:]}")
    return kept(place / "quiet")


def kept(run: Path) -> dict[str, tuple[object, ...]]:
    """By question: the trace and everything that is known of its answer, times left out. Raises Broken for half an answer."""
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
    if len({row[0] for row in found}) != len(found):
        raise Broken("a row is there twice")
    if counts != [len(found)] * 3:
        raise Broken("an answer without its trace, or a trace without its answer")
    return {row[0].removeprefix("<image>"): row[1:] for row in found}
