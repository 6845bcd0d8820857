"""Two nodes of Ray that do not share every folder: what the trainer could not read is known before anything is sampled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed")

from .two_nodes import can_hide, two_nodes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_hide(), reason="hiding a folder from a node needs a mount namespace"),
]

PROBE = """
import sys, time
from pathlib import Path
import ray
from rap_plugin.errors import RapError
from rap_plugin.openrlhf_hooks.cluster import require_visible

ray.init(address=sys.argv[1], log_to_driver=False)
while len(ray.nodes()) < 2:
    time.sleep(0.1)
for folder in sys.argv[2:]:
    try:
        require_visible(Path(folder), "--rap.run_dir")
        print("seen", list(Path(folder).iterdir()))
    except RapError as error:
        print(error)
"""


def test_a_folder_that_one_node_does_not_see_is_one_line_that_names_it(tmp_path: Path) -> None:
    shared, hidden = tmp_path / "shared", tmp_path / "hidden"
    shared.mkdir()
    hidden.mkdir()
    with two_nodes(hidden=hidden, head=["--num-cpus=1"], second=["--num-cpus=1"]) as cluster:
        done = subprocess.run(
            [sys.executable, "-c", PROBE, cluster.address, str(shared), str(hidden), str(tmp_path / "gone")],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
            env={**os.environ, "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"},
        )
    seen, unseen, gone = done.stdout.splitlines()[-3:]
    assert seen == "seen []", done.stderr
    assert unseen.startswith(f"--rap.run_dir {hidden}: not the same folder on 1 of 2 nodes, ")
    assert "(No such file or directory), and the trainer may run on any of them; choose one on a file system" in unseen
    assert gone == f"--rap.run_dir {tmp_path / 'gone'}: cannot be written (No such file or directory)"
    assert list(hidden.iterdir()) == []
