"""Where the tiny model that asks for regions is: trained once for all test processes of a run."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest


def looker_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder: see `tests.vlm_r3.looker`. RAP_TEST_LOOKER names one that was trained before."""
    pytest.importorskip("torch")
    from tests.vlm_r3.looker import train

    if "RAP_TEST_LOOKER" in os.environ:
        return Path(os.environ["RAP_TEST_LOOKER"])
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "looker"
    with (shared / "looker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            folder.mkdir(exist_ok=True)
            train(folder)
            (folder / "done").touch()
    return folder
