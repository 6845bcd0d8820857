"""A Ray of two nodes on this machine, each in a working directory and with a view of the disk of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

RAY = str(Path(sys.executable).with_name("ray"))


@dataclass(frozen=True)
class TwoNodes:
    """A running cluster."""

    address: str
    dashboard: str
    head: subprocess.Popen[bytes]
    folder: Path


def can_hide() -> bool:
    """Whether a process may have a mount of its own."""
    done = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return done.returncode == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def two_nodes(
    *, hidden: Path | None = None, head: Sequence[str] = (), second: Sequence[str] = (), dashboard: bool = False
) -> Iterator[TwoNodes]:
    """Starts both; the second node sees an empty folder in the place of `hidden`. `head` and `second` are further options.

    Both are process groups of their own, ended at the end.
    """
    folder = Path(tempfile.mkdtemp(prefix="rap-ray-"))  # short: Ray puts sockets below it
    port, board = free_port(), free_port()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    environment["RAY_raylet_start_wait_time_s"] = "300"  # 30 s are not enough on a busy machine
    environment["RAY_DASHBOARD_SUBPROCESS_MODULE_WAIT_READY_TIMEOUT"] = "300"
    environment["RAY_worker_niceness"] = "0"  # at 15, as Ray has it, workers stand still beside other work
    with_dashboard = [f"--dashboard-port={board}"] if dashboard else []
    first = [
        RAY,
        "start",
        "--head",
        f"--port={port}",
        f"--temp-dir={folder / 'first'}",
        f"--ray-client-server-port={free_port()}",
    ]
    first += [
        f"--include-dashboard={str(dashboard).lower()}",
        *with_dashboard,
        "--disable-usage-stats",
        "--block",
        *head,
    ]
    other = [
        RAY,
        "start",
        f"--address=127.0.0.1:{port}",
        f"--temp-dir={folder / 'second'}",  # else both unpack a job's files in one place, one from under the other
        "--node-ip-address=127.0.0.1",
        "--disable-usage-stats",
        "--block",
        *second,
    ]
    if hidden is not None:
        script = 'mount -t tmpfs none "$0" && exec "$@"'
        other = ["unshare", "-m", "sh", "-c", script, str(hidden), *other]
    started = []
    try:
        for name, command in (("first", first), ("second", other)):
            (folder / name).mkdir()
            output = folder / f"{name}.log"
            with output.open("wb") as log:
                process = subprocess.Popen(
                    command,
                    cwd=folder / name,
                    env=environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            started.append(process)
            _wait_for(process, output)
        yield TwoNodes(f"127.0.0.1:{port}", f"http://127.0.0.1:{board}", started[0], folder)
    finally:
        for process in reversed(started):
            _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def run_job(
    cluster: TwoNodes,
    name: str,
    folder: Path,
    command: Sequence[str],
    variables: Mapping[str, str],
    stop_when: Callable[[], bool] = lambda: False,
    limit_s: float = 1500,
) -> tuple[str, str]:
    """`ray job submit` with `folder` as its working directory; how the job ended (SUCCEEDED, FAILED, STOPPED), and its output.

    It is stopped as soon as `stop_when` holds.
    """
    from ray.job_submission import JobSubmissionClient

    argv = [RAY, "job", "submit", f"--address={cluster.dashboard}", f"--submission-id={name}", "--no-wait"]
    argv += [f"--working-dir={folder}", f"--runtime-env-json={json.dumps({'env_vars': dict(variables)})}"]
    given = subprocess.run([*argv, "--", *command], capture_output=True, text=True, timeout=300, check=False)
    assert given.returncode == 0, given.stdout + given.stderr
    client = JobSubmissionClient(cluster.dashboard)
    until, stopped = time.monotonic() + limit_s, False
    while not (status := client.get_job_status(name)).is_terminal():
        assert time.monotonic() < until, client.get_job_logs(name)[-4000:]
        if not stopped and stop_when():
            stopped = client.stop_job(name)
        time.sleep(0.2)
    return status.value, client.get_job_logs(name)


def _wait_for(process: subprocess.Popen[bytes], output: Path) -> None:
    """Until a node says that it has started."""
    for _ in range(2400):
        text = output.read_text(errors="replace")
        if "Ray runtime started" in text:
            return
        assert process.poll() is None, f"a node of Ray ended at once: {text[-2000:]}"
        time.sleep(0.25)
    raise AssertionError(f"a node of Ray did not start: {text[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
