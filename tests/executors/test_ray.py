"""Ray workers: the same bytes for any number of them, also when they are killed; what cannot work says so in one line."""

from __future__ import annotations

import importlib.util
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rap_plugin import RapError, RunConfig, load_config, select_run
from rap_plugin.executors import open_executor
from rap_plugin.executors.ray import IN_FLIGHT

pytest.importorskip("ray", reason="the executor ray needs Ray: pip install 'rap-plugin[ray]'")

PLUGIN = str(Path(__file__).parent / "crash_engine.py")
FILES = ("scores.parquet", "selected.parquet", "quarantine.parquet")
BATCH = 20
"""Responses in one call of the ability engine."""


def make_config(pool: Path, workers: int = 0, **flags: Any) -> RunConfig:
    values = {
        "pool.path": str(pool),
        "model.id": "m",
        "model.engine": "crash",
        "plugins": [PLUGIN],
        "grading.grader": "text",
        "selection.lambda_c": 0.3,
        "execution.executor": "ray" if workers else "local",
        "execution.workers": workers or None,
    }
    return load_config(flags={**values, **{name.replace("__", "."): value for name, value in flags.items()}})


def files(run: Path) -> list[bytes]:
    return [(run / name).read_bytes() for name in FILES]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster that this process is connected to already, as in a host that runs on Ray."""
    import tempfile

    import ray

    with tempfile.TemporaryDirectory(prefix="rap-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=80 << 20,
            _temp_dir=folder,
            address="local",
        )
        yield
        ray.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("flags", [{}, {"selection__drm": False, "prompt__blind": "shuffle"}], ids=["whole", "waves"])
def test_any_number_of_workers_writes_the_bytes_of_a_local_run(
    cluster: None, tmp_path: Path, write_pool, flags: Any
) -> None:
    pool = write_pool(40)
    local = select_run(make_config(pool, **flags), tmp_path / "local", quiet=True)
    for workers in (1, 2):
        log = tmp_path / f"log{workers}"
        config = make_config(pool, workers, model__options={"log": str(log)}, **flags)
        result = select_run(config, tmp_path / f"ray{workers}", quiet=True)
        assert result.sampled == local.sampled
        assert files(result.run) == files(local.run)
        lines = log.read_text().splitlines()
        assert len(lines) == len(set(lines)) == local.sampled
        # Everything is there: no engine call, no worker, not even where none could start.
        assert select_run(config, result.run, quiet=True).sampled == 0


@pytest.mark.slow
def test_a_worker_killed_mid_run_changes_no_byte_and_repeats_only_unfinished_batches(
    cluster: None, tmp_path: Path, write_pool
) -> None:
    pool, pids, log = write_pool(60), tmp_path / "pids", tmp_path / "log"
    select_run(make_config(pool), tmp_path / "local", quiet=True)
    killed: list[tuple[int, set[str]]] = []

    def kill() -> None:
        for calls in (6, 14):
            while not pids.exists() or len(pids.read_text().split()) < calls or not stored(tmp_path / "ray"):
                time.sleep(0.005)
            kept = stored(tmp_path / "ray")
            os.kill(int(pids.read_text().split()[-1]), signal.SIGKILL)
            killed.append((len(log.read_text().splitlines()), kept))

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    options = {"pids": str(pids), "log": str(log), "pause": 0.1}
    result = select_run(make_config(pool, 2, model__options=options), tmp_path / "ray", quiet=True)
    assert not killer.is_alive()
    assert len(killed) == 2
    assert files(result.run) == files(tmp_path / "local")
    lines = log.read_text().splitlines()
    assert set(lines) == stored(result.run)
    # A worker has one batch in work and one more handed to it or just answered.
    assert len(lines) - len(set(lines)) <= 2 * IN_FLIGHT * BATCH, "more than the batches in work was sampled twice"
    for asked, kept in killed:
        assert kept, "killed before anything was stored"
        assert not kept & set(lines[asked:]), "a stored rollout was sampled again"


def stored(run: Path) -> set[str]:
    with sqlite3.connect(run / "evidence.sqlite", timeout=30) as db:
        return {row[0] for row in db.execute("SELECT sample_id || ' ' || arm || ' ' || rollout FROM evidence")}


@pytest.mark.slow
def test_a_sample_that_kills_its_worker_goes_to_quarantine_and_the_rest_goes_on(
    cluster: None, tmp_path: Path, write_pool
) -> None:
    pool = write_pool(24)
    options = {"poison": "5"}
    result = select_run(make_config(pool, 2, model__options=options), tmp_path / "ray", quiet=True)
    quarantine = pq.read_table(result.run / "quarantine.parquet").to_pylist()
    assert [(row["rap_row"], row["rap_status"]) for row in quarantine] == [(5, "engine_error")]
    assert "worker processes died while they worked on this sample" in quarantine[0]["rap_reason"]
    assert len(result.selection.table) == 23


STREAM_PLUGIN = str(Path(__file__).parents[1] / "stream_engine.py")


@pytest.mark.slow
@pytest.mark.long
def test_workers_whose_engines_stream_write_the_same_bytes_when_one_dies_of_a_sample_and_one_hangs(
    cluster: None, tmp_path: Path, write_pool
) -> None:
    pool = write_pool(50)
    stream = {"model__engine": "stream", "plugins": [STREAM_PLUGIN]}
    alone = make_config(pool, execution__tokens_in_flight=1, **stream)
    local = select_run(alone, tmp_path / "local", quiet=True)
    log = tmp_path / "log"
    options = {"order": 3, "log": str(log), "hangs": str(tmp_path / "hung")}
    config = make_config(pool, 2, model__options=options, execution__answer_within_s=6.0, **stream)
    hung = select_run(config, tmp_path / "hung run", quiet=True)
    assert (tmp_path / "hung").exists()
    assert files(hung.run) == files(local.run)
    assert len(set(log.read_text().splitlines())) == 500
    poisoned = make_config(pool, 2, model__options={"order": 4, "poison": "7"}, **stream)
    result = select_run(poisoned, tmp_path / "poisoned", quiet=True)
    quarantine = pq.read_table(result.run / "quarantine.parquet").to_pylist()
    assert [(row["rap_row"], row["rap_status"]) for row in quarantine] == [(7, "engine_error")]
    assert len(result.selection.table) == 49


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"poison": "all"}, r"^10 Ray workers in a row died without finishing a batch.* stored rollouts are kept$"),
        ({"raise": True}, r"^engine crash failed: ValueError: .*the engine; .* \(in a Ray worker on .*\)$"),
        ({"shifty": True}, r"^m: other weights \(process-\d+\) than where the command was called .* the same model"),
    ],
    ids=["crash", "raise", "weights"],
)
def test_workers_that_cannot_work_end_the_run_with_one_line(
    cluster: None, tmp_path: Path, write_pool, options: Any, message: str
) -> None:
    with pytest.raises(RapError, match=message) as caught:
        select_run(make_config(write_pool(60), 2, model__options=options), tmp_path / "ray", quiet=True)
    assert "\n" not in str(caught.value)
    assert stored(tmp_path / "ray") == set()


@pytest.mark.slow
def test_more_than_the_cluster_has_is_refused(cluster: None, tmp_path: Path, write_pool) -> None:
    config = make_config(write_pool(8), 2, execution__gpus_per_worker=64)
    with pytest.raises(RapError, match=r"a Ray worker needs? 64 GPU, the cluster has \d+; .*execution.gpus_per_worker"):
        select_run(config, tmp_path / "ray", quiet=True)


def test_workers_without_ray_and_ray_without_the_package_are_refused(
    tmp_path: Path, write_pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = write_pool(8)
    with pytest.raises(RapError, match="--workers 2 needs --executor ray"):
        select_run(load_config(flags={"execution.executor": "local"}, base=make_config(pool, 2)), tmp_path / "run")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RapError, match=r"needs Ray; install it with: pip install 'rap-plugin\[ray\]'"):
        open_executor(make_config(pool, 2), None, None, {})  # type: ignore[arg-type]


def test_an_address_where_nothing_listens_is_refused_at_once(tmp_path: Path, write_pool) -> None:
    code = (
        "import sys; from rap_plugin.cli import main; "
        f"main(['select', {str(write_pool(8))!r}, '--model', 'm', '--engine', 'crash', '--plugin', {PLUGIN!r}, "
        f"'--executor', 'ray', '--set', 'execution.address=127.0.0.1:1', '--out', {str(tmp_path / 'run')!r}, '--quiet'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.startswith("rap: no Ray cluster answers at 127.0.0.1:1")
    assert done.stderr.count("\n") == 1


def started(pool: Path, run: Path, *more: str, folder: Path | None = None) -> subprocess.Popen[str]:
    arguments = ["select", str(pool), "--out", str(run), "--quiet", "--executor", "ray", "--workers", "2", *more]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.Popen(
        [sys.executable, "-m", "rap_plugin.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=folder,
    )


@pytest.mark.slow
def test_a_command_joins_a_cluster_by_its_address_with_paths_relative_to_its_own_folder(
    cluster: None, tmp_path: Path, write_pool
) -> None:
    import ray

    pool = write_pool(24)
    select_run(make_config(pool), tmp_path / "local", quiet=True)
    flags = ["--model", "m", "--engine", "crash", "--plugin", PLUGIN, "--grader", "text", "--lambda-c", "0.3"]
    flags += ["--set", f"execution.address={ray.get_runtime_context().gcs_address}"]
    process = started(Path(pool.name), Path("ray"), *flags, folder=tmp_path)
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    assert files(tmp_path / "ray")[0] == files(tmp_path / "local")[0]
    assert ray.is_initialized()
    assert ray.cluster_resources()["CPU"] == 2, "the cluster is as it was"


def cluster_folders(process: subprocess.Popen[str]) -> set[Path]:
    return set(Path("/tmp").glob(f"rap-ray-{process.pid}-*"))


def processes(folder: str) -> set[int]:
    """Processes with this text in their command line."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if folder in entry.read_bytes().decode(errors="replace"):
                found.add(int(entry.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.long
def test_two_workers_with_the_embedded_model_give_the_verdicts_of_a_local_run_and_leave_nothing_behind(
    tmp_path: Path,
) -> None:
    from rap_plugin.demo import MODEL_DIR, POOL_PATH

    flags = [
        "--model",
        str(MODEL_DIR),
        "--instruction",
        "",
        "--limit",
        "20",
        "--max-new-tokens",
        "24",
        "--rollouts",
        "2",
    ]
    flags += ["--batch-size", "20", "--lambda-c", "-1"]
    process = started(POOL_PATH, tmp_path / "ray", *flags)
    made: set[Path] = set()
    while process.poll() is None and not made:
        made = cluster_folders(process)
        time.sleep(0.05)
    out, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    assert "raylet" not in out + errors
    assert made
    for folder in made:
        assert not folder.exists()
        assert not processes(str(folder))
    config = load_config(
        flags={
            "pool.path": str(POOL_PATH),
            "pool.limit": 20,
            "model.id": str(MODEL_DIR),
            "prompt.instruction": "",
            "sampling.max_new_tokens": 24,
            "sampling.rollouts": 2,
            "model.batch_size": 20,
            "selection.lambda_c": -1.0,
        }
    )
    select_run(config, tmp_path / "local", quiet=True)
    columns = ["rap_id", "rap_acc_image", "rap_acc_blind", "rap_verdict"]
    local, ray = (pq.read_table(tmp_path / run / "scores.parquet", columns=columns) for run in ("local", "ray"))
    assert local.equals(ray)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_a_run_that_is_killed_takes_its_cluster_with_it_and_the_next_goes_on(tmp_path: Path, write_pool) -> None:
    pool, log = write_pool(24), tmp_path / "log"
    flags = ["--model", "m", "--engine", "crash", "--plugin", PLUGIN, "--grader", "text", "--lambda-c", "0.3"]
    process = started(pool, tmp_path / "ray", *flags, "--set", f"model.options={{log: {log}, pause: 0.3}}")
    while not log.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    folders = cluster_folders(process)
    assert folders
    try:
        deadline = time.monotonic() + 300
        while any(processes(str(folder)) for folder in folders) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not any(processes(str(folder)) for folder in folders)
    finally:
        import shutil

        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    kept, asked = stored(tmp_path / "ray"), len(log.read_text().splitlines())
    local = make_config(pool, model__options={"log": str(log)})
    result = select_run(local, tmp_path / "ray", quiet=True)
    assert result.sampled == 240 - len(kept)
    assert not kept & set(log.read_text().splitlines()[asked:])
