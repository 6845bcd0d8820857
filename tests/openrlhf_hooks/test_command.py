"""The exact command on a CPU: OpenRLHF, Ray and vLLM as installed, a tiny Qwen2.5-VL, real images of digits.

One module of launches, since each starts real engines: killed in the middle of scoring, started again, and once more
with nothing missing. Training itself needs CUDA, so a plugin file ends the program where the trainer exists and its
number of steps is known.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")
pytest.importorskip("vllm", reason="vLLM is not installed")

import pyarrow.parquet as pq

from .command import arguments

pytestmark = pytest.mark.slow

ROWS, ROLLOUTS, BATCH = 20, 3, 6
UNREADABLE, UNGRADED = 4, 7
"""Rows with a truncated image, and with a reward that raises."""

STOP_AT_TRAINER = """
import openrlhf.trainer.ray.launcher as launcher


def stop(self, strategy, pretrain, max_steps=None, *rest):
    print("MAX_STEPS", max_steps, "DATASET", strategy.args.data.prompt_dataset, flush=True)
    raise SystemExit(0)


launcher.RayActorGroup.async_init_model_from_pretrained = stop
"""

REWARD = """
import zlib


def reward_func(queries, prompts, labels, **options):
    query, label = queries[0], labels[0]
    with open({log!r}, "a") as file:
        file.write("%08x\\n" % zlib.crc32(query.encode()))
    if "digit {ungraded} " in query:
        raise ValueError("odd")
    right = "<|image_pad|>" in query and zlib.crc32(query.encode()) % 8 < int(label)
    return {{"rewards": 0.9 * right, "scores": float(right)}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def cluster():
    """Address of a Ray with two logical GPUs, ended as the process group that it is."""
    folder = tempfile.mkdtemp(prefix="rap-ray-")
    port = free_port()
    ray = Path(sys.executable).with_name("ray")
    head = [str(ray), "start", "--head", f"--port={port}", f"--ray-client-server-port={free_port()}", "--num-gpus=2"]
    options = ["--num-cpus=6", f"--temp-dir={folder}", "--include-dashboard=false", "--disable-usage-stats", "--block"]
    # Actors have Ray's environment, not the driver's: a small cache, or vLLM takes half of the machine's memory.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        [*head, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env=environment
    )
    for _ in range(240):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.25)
    yield f"127.0.0.1:{port}"
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(["rm", "-rf", folder], check=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory, tiny_model):
    """A folder with a pool of handwritten digits, a reward file that writes down its calls, and the plugin file."""
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    from PIL import Image

    folder = tmp_path_factory.mktemp("world")
    lines = []
    for number in range(ROWS):
        file = folder / f"{number}.png"
        Image.fromarray((digits.images[number] * 15).astype("uint8")).resize((56, 56)).save(file)
        message = {"role": "user", "content": f"<image>Which one is digit {number} of the list?"}
        row = {"prompt": [message], "label": str(digits.target[number]), "images": [str(file)], "source_row": number}
        lines.append(json.dumps(row) + "\n")
    (folder / f"{UNREADABLE}.png").write_bytes((folder / "0.png").read_bytes()[:40])
    (folder / "train.jsonl").write_text("".join(lines))
    (folder / "stop.py").write_text(STOP_AT_TRAINER)
    (folder / "reward.py").write_text(REWARD.format(log=str(folder / "calls.log"), ungraded=UNGRADED))
    return folder


def command(world, model, *more):
    argv = arguments(model, world / "train.jsonl", "--reward.remote_url", str(world / "reward.py"))
    flags = ["--data_filter", "rap", "--rap.rollouts", str(ROLLOUTS), "--rap.batch_size", str(BATCH)]
    flags += ["--rap.run_dir", str(world / "run"), "--rap.lambda_c", "0.3", "--rap.plugin", str(world / "stop.py")]
    return [sys.executable, "-m", "openrlhf.cli.train_ppo_ray", *argv, *flags, *more]


def stored(run):
    """The stored rollouts as (sample, probe, rollout, text), and nothing before there are any."""
    file = run / "evidence.sqlite"
    if not file.exists():
        return set()
    try:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
            return set(db.execute("SELECT sample, probe, rollout, text FROM responses"))
    except sqlite3.OperationalError:
        return set()


def calls(world):
    file = world / "calls.log"
    return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.fixture(scope="module")
def launches(world, tiny_model, cluster):
    """What three launches of the same command left behind."""
    environment = {**os.environ, "RAY_ADDRESS": cluster, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def launch(name, *more, until=None):
        log = world / f"{name}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                command(world, tiny_model, *more), stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=world
            )
            started = time.monotonic()
            while process.poll() is None and time.monotonic() - started < 420:
                if until is not None and until():
                    process.kill()
                time.sleep(0.02)
            process.kill()
            code = process.wait()
        text = log.read_text()
        return SimpleNamespace(code=code, text=text, stored=stored(world / "run"), calls=calls(world))

    killed = launch("killed", until=lambda: len(stored(world / "run")) >= 5 * BATCH)
    time.sleep(2)  # what was under way in the engine when its driver died ends here
    killed.calls = calls(world)
    again = launch("again")
    nothing = launch("nothing", "--rap.select_only")
    return SimpleNamespace(killed=killed, again=again, nothing=nothing, run=world / "run")


def test_a_launch_killed_while_scoring_goes_on_and_repeats_no_finished_rollout(launches):
    killed, again = launches.killed, launches.again
    everything = 2 * ROLLOUTS * (ROWS - 1)
    assert killed.code == -signal.SIGKILL
    assert 0 < len(killed.stored) < everything
    assert again.code == 0, again.text[-3000:]
    assert killed.stored <= again.stored
    assert len(again.stored) == everything
    assert again.calls - killed.calls == everything - len(killed.stored)


def test_the_trainers_steps_come_from_the_selected_rows(launches):
    table = pq.read_table(launches.run / "selected.parquet")
    assert 0 < len(table) < ROWS - 2
    (line,) = [line for line in launches.again.text.splitlines() if line.startswith("MAX_STEPS")]
    _, steps, _, dataset = line.split()
    assert int(steps) == len(table) * 4 // 8
    assert dataset == str(launches.run / "train_rows")
    assert f"num_rows: {len(table)}" in launches.again.text


def test_the_run_directory_holds_the_evidence_and_the_report(launches):
    names = {path.name for path in launches.run.iterdir()}
    wanted = (
        "run.json evidence.sqlite scores.parquet selected.parquet quarantine.parquet report.html README.md cost.json"
    )
    assert names >= {*wanted.split(), "pool", "train_rows"}
    with sqlite3.connect(launches.run / "evidence.sqlite") as db:
        rows = db.execute(
            "SELECT arm, status, attention, count(*), sum(psi_window_max_5 IS NOT NULL) FROM rollouts "
            "JOIN probes USING (probe) GROUP BY 1, 2, 3"
        ).fetchall()
    each = ROLLOUTS * (ROWS - 1)
    assert [row[:4] for row in rows] == [("blind", "ok", None, each), ("image", "ok", "measured", each)]
    assert rows[1][4] > each * 0.8  # the others are responses of one or two tokens


def test_bad_rows_are_put_aside_and_the_run_goes_on(launches):
    found = {row["rap_row"]: row for row in pq.read_table(launches.run / "quarantine.parquet").to_pylist()}
    assert sorted(found) == [UNREADABLE, UNGRADED]
    assert found[UNREADABLE]["rap_status"] == "unreadable_image"
    assert "could be graded" in found[UNGRADED]["rap_reason"]


def test_a_launch_with_nothing_missing_starts_no_engine(launches):
    nothing = launches.nothing
    assert nothing.code == 0, nothing.text[-3000:]
    assert nothing.stored == launches.again.stored
    assert nothing.calls == launches.again.calls
    assert "0 rollouts sampled now" in nothing.text
    assert "RolloutActor" not in nothing.text
    assert "MAX_STEPS" not in nothing.text
