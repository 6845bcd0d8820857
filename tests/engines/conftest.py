"""Tiny models, built once per session, and engines over them that are closed again."""

from __future__ import annotations

import numpy as np
import pytest

from . import tiny_models


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """`tiny_folder(family, **options)`: the folder of a saved model; skips where its processor cannot be loaded."""
    built = {}

    def get(family, **options):
        key = (family, *sorted(options.items()))
        if key not in built:
            try:
                built[key] = tiny_models.build(family, tmp_path_factory.mktemp(family), **options)
            except ImportError as error:
                built[key] = str(error).strip().splitlines()[0]
        if isinstance(built[key], str):
            pytest.skip(f"{family}: {built[key]}")
        return built[key]

    return get


@pytest.fixture
def open_tiny(tiny_folder):
    """`open_tiny(family, batch_size=.., config={..}, **build options)`: engine hf over a tiny model."""
    from rap_plugin.config import ModelConfig
    from rap_plugin.engines.hf.engine import open_hf

    opened = []

    def get(family, batch_size=None, config=None, **options):
        folder = str(tiny_folder(family, **options))
        opened.append(open_hf(ModelConfig(id=folder, device="cpu", batch_size=batch_size, **(config or {}))))
        return opened[-1]

    yield get
    for engine in opened:
        engine.close()


@pytest.fixture(scope="session")
def picture():
    """`picture(width, height, seed)`: an RGB image of noise."""
    from PIL import Image

    def get(width, height, seed=0):
        values = np.random.default_rng([width, height, seed]).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return Image.fromarray(values)

    return get
