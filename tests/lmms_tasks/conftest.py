"""Prepared small benchmarks, and lmms-eval run without network and without keys."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rap_plugin.evaluation.benchmarks import BENCHMARKS
from rap_plugin.evaluation.prepare import prepare_from_folder
from tests.evaluation.fabricate import MAKERS, make

REAL_LOGICVISTA = Path(__file__).resolve().parents[3] / "shared" / "data" / "logicvista"


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All benchmarks, prepared from small releases; LogicVista from real rows where they are at hand."""
    home = tmp_path_factory.mktemp("benchmarks")
    for name in MAKERS:
        origin = make(name, home / "releases")
        if name == "logicvista" and REAL_LOGICVISTA.is_dir():
            origin = REAL_LOGICVISTA
        prepare_from_folder(BENCHMARKS[name], origin, home / "data")
    return home / "data"


@pytest.fixture(scope="session")
def offline(tmp_path_factory: pytest.TempPathFactory, data_folder: Path) -> dict[str, str]:
    """Environment of a machine without network, keys or judge."""
    kept = {name: value for name, value in os.environ.items() if "API_KEY" not in name and "JUDGE" not in name}
    home = tmp_path_factory.mktemp("home")
    return {
        **kept,
        "RAP_DATA_DIR": str(data_folder),
        "HF_HOME": str(home / "hf"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }


Lmms = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def lmms_eval(offline: dict[str, str]) -> Lmms:
    """Runs the real command line."""
    pytest.importorskip("lmms_eval", reason="lmms-eval is not installed")

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lmms_eval", *arguments]
        return subprocess.run(command, env={**offline, **environment}, capture_output=True, text=True, timeout=400)

    return run
