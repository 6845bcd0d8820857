"""The main job on the embedded model and pool, as `rap demo` does it."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytest.importorskip("transformers", reason="the embedded model needs the extra hf")

from rap_plugin.demo import MODEL_DIR, POOL_PATH
from rap_plugin.pipeline.verify import verify_run

pytestmark = pytest.mark.slow


def demo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rap_plugin.cli", "demo", *map(str, arguments)], capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    run = tmp_path_factory.mktemp("demo") / "run"
    done = demo("--out", run)
    assert done.returncode == 0, done.stderr
    return run, done.stdout


def test_the_core_is_what_needs_the_image_and_not_what_the_text_gives_away(shown: tuple[Path, str]) -> None:
    run, text = shown
    pool = pq.read_table(POOL_PATH).to_pylist()
    scores = pq.read_table(run / "scores.parquet").to_pylist()
    core = [pool[row["rap_row"]] for row in scores if row["rap_verdict"] == "selected"]
    given_away = sum(row["role"] == "given_away" for row in pool)
    assert sum(row["role"] == "given_away" for row in core) <= 0.05 * given_away
    assert sum(row["needs_image"] for row in core) >= 0.9 * len(core)
    assert sum(row["needs_image"] for row in pool) <= 0.5 * len(pool)
    # What it prints is that same count.
    said = re.search(r"core that needs the image: ([\d,]+) of ([\d,]+)", text)
    assert said is not None
    assert [int(number) for number in said.groups()] == [sum(row["needs_image"] for row in core), len(core)]


def test_every_part_of_rap_does_something_on_the_demo_pool(shown: tuple[Path, str]) -> None:
    run, text = shown
    verdicts = pq.read_table(run / "scores.parquet")["rap_verdict"].to_pylist()
    for verdict in ("selected", "hard_replacement", "language_prior", "attention_biased", "easy", "unsolved"):
        assert verdict in verdicts
    removed = re.search(
        r"CDE removed ([\d,]+), ACE removed ([\d,]+), DRM removed ([\d,]+) easy and added ([\d,]+) hard", text
    )
    assert removed is not None
    assert [int(number) for number in removed.groups()] == [
        verdicts.count(verdict) for verdict in ("language_prior", "attention_biased", "easy", "hard_replacement")
    ]


def test_a_second_demo_makes_no_engine_call(shown: tuple[Path, str]) -> None:
    run, _ = shown
    before = (run / "selected.parquet").read_bytes()
    again = demo("--out", run)
    assert "0 rollouts sampled now" in again.stdout, again.stdout + again.stderr
    assert (run / "selected.parquet").read_bytes() == before
    assert verify_run(run)


KILLER = """
import os
import signal

from rap_plugin import hookimpl

probed = 0


@hookimpl
def rap_sample_probed(sample, rollouts):
    global probed
    probed += 1
    if probed == 10:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_killed_after_its_first_batches_ends_with_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    killer = tmp_path / "killer.py"
    killer.write_text(KILLER)

    def select(run: Path, *arguments: str) -> int:
        command = [
            sys.executable,
            "-m",
            "rap_plugin.cli",
            "select",
            str(POOL_PATH),
            "--model",
            str(MODEL_DIR),
            "--instruction",
            "",
        ]
        command += ["--out", str(run), "--limit", "30", "--max-new-tokens", "64", "--batch-size", "50", *arguments]
        return subprocess.run(command, capture_output=True).returncode

    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    assert select(quiet) == 0
    assert select(killed, "--plugin", str(killer)) == -signal.SIGKILL
    with sqlite3.connect(killed / "evidence.sqlite") as db:
        (stored,) = db.execute("SELECT count(*) FROM rollouts").fetchone()
    assert 0 < stored < 300
    assert select(killed) == 0
    for name in ("selected.parquet", "scores.parquet"):
        assert (killed / name).read_bytes() == (quiet / name).read_bytes()


def test_real_logicvista_rows_are_all_accounted_for_and_spoilt_ones_named(logicvista: Path, tmp_path: Path) -> None:
    import json
    import shutil
    import struct
    import zlib

    folder = tmp_path / "logicvista"
    shutil.copytree(logicvista, folder)
    rows = json.loads((folder / "dataset.json").read_text())
    names = list(rows)

    def image(at: int) -> Path:
        # A copy of its own: rows may share an image file.
        path = folder / "images" / f"spoilt-{at}.png"
        rows[names[at]]["imagename"] = path.name
        return path

    whole = (folder / "images" / rows[names[0]]["imagename"]).read_bytes()
    image(0).write_bytes(whole[: len(whole) // 2])
    image(1).write_text("this is a text file")
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    image(2).write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)))
    image(3)
    rows[names[4]]["answer"] = ""
    (folder / "dataset.json").write_text(json.dumps(rows))
    run = tmp_path / "run"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "rap_plugin.cli",
            "select",
            str(folder / "dataset.json"),
            "--model",
            str(MODEL_DIR),
            "--out",
            str(run),
            "--rollouts",
            "2",
            "--max-new-tokens",
            "8",
            "--batch-size",
            "128",
            "--selector",
            "random",
            "--no-curtail",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    quarantine = pq.read_table(run / "quarantine.parquet").to_pylist()
    assert [row["rap_row"] for row in quarantine] == [0, 1, 2, 3, 4]
    assert len({row["rap_reason"] for row in quarantine}) == 5
    assert pq.read_table(run / "scores.parquet").num_rows == len(rows) - 5
