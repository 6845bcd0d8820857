"""The tiny model that asks for regions, and engines over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rap_plugin.config import ModelConfig
from tests.looker_model import looker_folder


@pytest.fixture(scope="session")
def looker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder."""
    return looker_folder(tmp_path_factory)


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
