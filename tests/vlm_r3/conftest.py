"""The tiny model that asks for regions, trained once for all test processes of a run."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from rap_plugin.config import ModelConfig


@pytest.fixture(scope="session")
def looker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder: see `tests.vlm_r3.looker`."""
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


@pytest.fixture
def open_looker(looker: Path):
    """`open_looker(batch_size)`: engine hf over it."""
    from rap_plugin.engines.hf.engine import open_hf

    opened = []

    def get(batch_size: int | None = None):
        opened.append(open_hf(ModelConfig(id=str(looker), device="cpu", batch_size=batch_size)))
        return opened[-1]

    yield get
    for engine in opened:
        engine.close()
