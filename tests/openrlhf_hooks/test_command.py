"""The exact command on a CPU: OpenRLHF, Ray and vLLM as installed, a tiny Qwen2.5-VL, real images of digits.

One module of launches, since each starts real engines: the engine killed while scoring, then the command itself, started
again, and once more with nothing missing. Training itself needs CUDA, so a plugin file ends the program where the
trainer exists and its number of steps is known; without our flags a `sitecustomize` does the same.
"""

from __future__ import annotations

import contextlib
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

from .command import arguments, environment_without_us

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

STOP_WITHOUT_US = """
import importlib.util
import sys

NAME = "openrlhf.trainer.ray.launcher"


def stop(self, strategy, pretrain, max_steps=None, *rest):
    print("MAX_STEPS", max_steps, "ARGS", strategy.args, flush=True)
    raise SystemExit(0)


class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != NAME:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            module.RayActorGroup.async_init_model_from_pretrained = stop

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())
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
    """Address and process of a Ray with two logical GPUs, ended as the process group that it is."""
    folder = tempfile.mkdtemp(prefix="rap-ray-")
    port = free_port()
    ray = Path(sys.executable).with_name("ray")
    head = [str(ray), "start", "--head", f"--port={port}", f"--ray-client-server-port={free_port()}", "--num-gpus=2"]
    options = ["--num-cpus=6", f"--temp-dir={folder}", "--include-dashboard=false", "--disable-usage-stats", "--block"]
    # Actors have Ray's environment, not the driver's: a small cache, or vLLM takes half of the machine's memory.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    environment["RAY_raylet_start_wait_time_s"] = "300"  # 30 s are not enough on a busy machine: Ray ends itself then
    process = subprocess.Popen(
        [*head, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env=environment
    )
    for _ in range(240):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.25)
    assert process.poll() is None, "Ray did not start"
    yield SimpleNamespace(address=f"127.0.0.1:{port}", process=process)
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


def command(world, model, *more, batch_size=BATCH):
    argv = arguments(model, world / "train.jsonl", "--reward.remote_url", str(world / "reward.py"))
    flags = ["--data_filter", "rap", "--rap.rollouts", str(ROLLOUTS)]
    flags += ["--rap.batch_size", str(batch_size)] if batch_size else []
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


def kill_engine(cluster):
    """Kills vLLM's own processes below the rollout actor, as a crash in a kernel would."""
    import psutil

    for worker in psutil.Process(cluster.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # one that has just ended
            if "RolloutActor" in " ".join(worker.cmdline()):
                for child in worker.children(recursive=True):
                    child.kill()


def wait_for_actors_to_end(cluster):
    """Ray ends the actors of a driver that was killed; what is under way in them goes on until then."""
    import psutil

    def at_work():
        for worker in psutil.Process(cluster.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                name = " ".join(worker.cmdline())
                if name.startswith("ray::") and "Actor" in name:
                    return True
        return False

    until = time.monotonic() + 300
    while at_work():
        assert time.monotonic() < until
        time.sleep(0.1)


def calls(world):
    file = world / "calls.log"
    return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.fixture(scope="module")
def launch(world, cluster):
    """`launch(name, command)`: runs it to its end, or until `until()` and then `then(process)`."""

    def get(name, argv, until=None, then=subprocess.Popen.kill, **variables):
        environment = {**os.environ, "RAY_ADDRESS": cluster.address, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        assert cluster.process.poll() is None, "Ray has ended"
        log = world / f"{name}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                argv, stdout=output, stderr=subprocess.STDOUT, env={**environment, **variables}, cwd=world
            )
            started = time.monotonic()
            while process.poll() is None and time.monotonic() - started < 420:
                if until is not None and until():
                    until = None
                    then(process)
                time.sleep(0.02)
            process.kill()
            code = process.wait()
        text = log.read_text()
        ours = [line for line in text.splitlines() if line.startswith("rap-plugin: ")]
        return SimpleNamespace(code=code, text=text, ours=ours, stored=stored(world / "run"), calls=calls(world))

    return get


@pytest.fixture(scope="module")
def launches(world, tiny_model, cluster, launch):
    """What the launches of the same command left behind."""

    def enough(batches):
        return lambda: len(stored(world / "run")) >= batches * BATCH

    ours = command(world, tiny_model)
    died = launch("died", ours, until=enough(2), then=lambda process: kill_engine(cluster))
    killed = launch("killed", ours, until=enough(6))
    wait_for_actors_to_end(cluster)
    killed.calls = calls(world)
    again = launch("again", command(world, tiny_model, batch_size=None))  # the default must not end vLLM's CPU build
    nothing = launch("nothing", [*ours, "--rap.select_only"])
    return SimpleNamespace(died=died, killed=killed, again=again, nothing=nothing, run=world / "run")


def test_an_engine_that_dies_ends_the_command_with_one_line_and_what_is_stored_is_kept(launches):
    died = launches.died
    assert died.code == 1, died.text[-3000:]
    assert died.ours[-1].startswith("rap-plugin: engine 1 of 1 stopped (")
    assert f"rollouts are kept in {launches.run}: start the same command again" in died.ours[-1]
    assert died.stored
    assert died.stored <= launches.killed.stored


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
    assert found[UNGRADED]["rap_status"] == "engine_error"
    assert "could be graded" in found[UNGRADED]["rap_reason"]


def test_a_launch_with_nothing_missing_starts_no_engine(launches):
    nothing = launches.nothing
    assert nothing.code == 0, nothing.text[-3000:]
    assert nothing.stored == launches.again.stored
    assert nothing.calls == launches.again.calls
    assert "0 rollouts sampled now" in nothing.text
    assert "RolloutActor" not in nothing.text
    assert "MAX_STEPS" not in nothing.text


def test_an_empty_selection_is_one_line_that_names_what_took_most(launches, launch, world, tiny_model):
    flags = ["--rap.lambda_c", "1", "--rap.drm", "off", "--rap.select_only"]
    empty = launch("empty", command(world, tiny_model, *flags))
    assert empty.code == 1
    assert empty.ours[-1].startswith("rap-plugin: the selection is empty: ")
    assert "samples are language_prior; lower --rap.lambda_c, or set a budget with --rap.keep" in empty.ours[-1]
    assert "Traceback" not in empty.text
    assert empty.calls == launches.nothing.calls


def test_a_dataset_without_images_ends_the_command_before_ray(launch, world, tiny_model):
    (world / "plain.jsonl").write_text('{"prompt": "What is 1 + 1?", "label": "2"}\n' * 3)
    done = launch("plain", command(world, tiny_model, "--data.prompt_dataset", "plain.jsonl"), RAY_ADDRESS="nowhere:1")
    assert done.code == 1
    assert done.ours == [
        "rap-plugin: --data.image_key: no column 'images' in the dataset, so no images; columns: prompt, label"
    ]
    assert done.text.rstrip().endswith(done.ours[0])


@pytest.mark.long
def test_without_the_flag_the_trainer_is_the_one_of_an_environment_without_the_package(
    launch, world, tiny_model, tmp_path_factory
):
    site = world / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(STOP_WITHOUT_US)
    more = ["--logger.wandb.run_name", "fixed", "--vllm.num_engines", "0"]
    reward = ["--reward.remote_url", str(world / "reward.py")]
    argv = ["-m", "openrlhf.cli.train_ppo_ray", *arguments(tiny_model, world / "train.jsonl", *reward, *more)]
    found = []
    for python in (sys.executable, environment_without_us(tmp_path_factory.mktemp("without"))):
        done = launch(f"unfiltered-{len(found)}", [str(python), *argv], PYTHONPATH=str(site))
        assert done.code == 0, done.text[-3000:]
        (line,) = [line for line in done.text.splitlines() if line.startswith("MAX_STEPS")]
        assert f"MAX_STEPS {ROWS * 4 // 8} ARGS" in line
        assert f"num_rows: {ROWS}" in done.text
        found.append(line)
    assert found[0] == found[1]
    assert "rap" not in found[0].replace(str(world), "").replace(str(tiny_model), "")
