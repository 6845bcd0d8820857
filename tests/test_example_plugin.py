"""The example plugin, installed as a user would install it, and its own tests."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "example-plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the example is installed (into a folder of its own)."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is needed to build the example without the network; it is in the extra `test`")
    target = tmp_path_factory.mktemp("site")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "--target",
            target,
            EXAMPLE,
        ],
        check=True,
    )
    return {**os.environ, "PYTHONPATH": str(target)}


def test_rap_lists_an_installed_plugin_and_what_it_brings(installed: dict[str, str]) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "rap_plugin.cli", "plugins"], env=installed, capture_output=True, text=True, check=True
    ).stdout
    part = shown[shown.index("self-consistency") :]
    assert "scorers: self_consistency" in part
    assert "selectors: uncertain" in part


@pytest.mark.slow
def test_the_example_passes_its_own_tests(installed: dict[str, str], tmp_path: Path, write_pool) -> None:
    from rap_plugin import select_run
    from tests.pipeline.test_select import make_config

    run = select_run(make_config(write_pool(24)), tmp_path / "run", quiet=True).run
    (tmp_path / "conftest.py").write_text(
        f"import pathlib, pytest\n@pytest.fixture\ndef finished_run():\n    return pathlib.Path({str(run)!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-c", os.devnull, str(EXAMPLE / "tests")],
        env={**installed, "PYTHONPATH": f"{installed['PYTHONPATH']}:{tmp_path}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
