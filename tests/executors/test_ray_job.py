"""`rap select` as a Ray job on two nodes: stopped, submitted again from a changed folder, it goes on."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed")

from tests.openrlhf_hooks.two_nodes import run_job, two_nodes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("RAP_CLUSTER_TESTS"), reason="a Ray with its dashboard: make cluster"),
    pytest.mark.skipif(importlib.util.find_spec("aiohttp_cors") is None, reason="ray job submit needs ray[default]"),
]

PLUGIN = Path(__file__).resolve().parents[1] / "ability_engine.py"


def test_a_job_is_stopped_and_submitted_again_from_a_changed_folder_and_samples_nothing_twice(
    tmp_path: Path, write_pool: Callable[..., Path]
) -> None:
    folder, run, log = tmp_path / "folder", tmp_path / "shared" / "run", tmp_path / "log"
    folder.mkdir()
    shutil.move(write_pool(60), folder / "pool.parquet")
    shutil.copy(PLUGIN, folder)
    log.touch()
    variables = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}

    def asked() -> list[str]:
        return log.read_text().splitlines()

    with two_nodes(head=["--num-cpus=2"], second=["--num-cpus=2"], dashboard=True) as cluster:

        def submit(name: str, out: str, stop_when: Callable[[], bool] = lambda: False) -> tuple[str, str]:
            select = [sys.executable, "-m", "rap_plugin.cli", "select", "pool.parquet", "--model", "m", "--out", out]
            select += ["--engine", "ability", "--plugin", "ability_engine.py", "--grader", "text", "--quiet"]
            select += ["--executor", "ray", "--workers", "2", "--set", f"model.options={{log: {log}, pause: 0.5}}"]
            return run_job(cluster, name, folder, select, variables, stop_when)

        status, text = submit("relative", "run")
        assert status == "FAILED", text
        assert "lies in Ray's copy of the job's working directory, which Ray deletes" in text
        assert asked() == []
        status, text = submit("stopped", str(run), stop_when=lambda: len(asked()) >= 20)
        assert status == "STOPPED", text
        before = len(asked())
        assert 0 < before < 600
        (folder / "note.txt").write_text("The folder has changed, so Ray unpacks it somewhere else.")
        status, text = submit("again", str(run))
        assert status == "SUCCEEDED", text
    assert (run / "selected.parquet").is_file()
    # Two workers had two batches of 20 each at most that were not stored yet.
    assert len(set(asked())) == 600
    assert len(asked()) <= 600 + 80
