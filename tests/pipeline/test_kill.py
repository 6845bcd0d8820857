"""SIGKILL at any moment: nothing paid for is lost, nothing is paid for twice, the result is the same."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rap_plugin import select_run
from tests.executors.test_feed import FILES, make_config
from tests.faults.world import stored

PLUGIN = Path(__file__).parents[1] / "ability_engine.py"
MOMENTS = 20


def start(pool: Path, run: Path, log: Path) -> subprocess.Popen[bytes]:
    arguments = ["select", str(pool), "--model", "m", "--engine", "ability", "--plugin", str(PLUGIN), "--out", str(run)]
    arguments += [
        "--set",
        f"model.options={{log: {log}, pause: 0.06}}",
        "--grader",
        "text",
        "--quiet",
        "--lambda-c",
        "0.3",
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "rap_plugin.cli", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


@pytest.mark.slow
def test_a_run_killed_at_twenty_random_moments_ends_with_the_same_bytes_and_samples_nothing_twice(
    tmp_path: Path, write_pool
) -> None:
    pool = write_pool(60)
    quiet = start(pool, tmp_path / "quiet", tmp_path / "quiet.log")
    started = time.monotonic()
    assert quiet.wait(timeout=120) == 0, quiet.stderr.read().decode()
    whole = time.monotonic() - started

    moments = random.Random(7)
    log, run = tmp_path / "killed.log", tmp_path / "killed"
    log.touch()
    kills = 0
    for _ in range(400):
        before = stored(run)
        asked_before = len(log.read_text().splitlines())
        process = start(pool, run, log)
        try:
            # Up to a third of a whole run: start-up, ingest, sampling, grading, measuring and writing all get hit.
            process.wait(timeout=moments.uniform(0.2, whole / 3 if kills < MOMENTS else 120))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        asked_now = log.read_text().splitlines()[asked_before:]
        assert not before & set(asked_now), "a stored rollout was sampled again"
        if kills >= MOMENTS and process.returncode == 0:
            break
        if process.returncode == 0:
            # Finished early: take away the outputs so that later kills also hit the deciding and writing.
            for name in ("selected.parquet", "scores.parquet"):
                (run / name).unlink()
    assert kills >= MOMENTS
    assert process.returncode == 0
    for name in ("selected.parquet", "scores.parquet", "quarantine.parquet"):
        assert (run / name).read_bytes() == (tmp_path / "quiet" / name).read_bytes(), name


@pytest.mark.slow
def test_an_engine_that_streams_is_killed_in_the_middle_and_no_stored_rollout_is_sampled_again(
    tmp_path: Path, write_pool
) -> None:
    pool, log = write_pool(60), tmp_path / "log"
    undisturbed = select_run(make_config(pool), tmp_path / "quiet", quiet=True)
    log.touch()
    repeated = 0
    for dies_after in (20, 35, -1):
        before, asked = stored(tmp_path / "run"), len(log.read_text().splitlines())
        options = {"log": str(log), "lanes": 3, "order": dies_after, "pause": 0.01, "dies_after": dies_after}
        code = (
            "from rap_plugin import select_run; from tests.executors.test_feed import make_config; from pathlib import Path; "
            f"select_run(make_config(Path({str(pool)!r}), model__options={options!r}), {str(tmp_path / 'run')!r}, quiet=True)"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], timeout=120)
        assert done.returncode == (0 if dies_after < 0 else -signal.SIGKILL)
        now = log.read_text().splitlines()[asked:]
        assert not before & set(now), "a stored rollout was sampled again"
        repeated += len(now)
    assert repeated >= 600
    for name in FILES:
        assert (tmp_path / "run" / name).read_bytes() == (undisturbed.run / name).read_bytes(), name
