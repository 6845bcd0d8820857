"""Checkpoints from strangers: each ends in one line or answers as before, runs no code of its own, and stays within bounds."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from rap_plugin.config import load_config
from rap_plugin.demo import MODEL_DIR
from rap_plugin.engines.hf.engine import open_hf
from rap_plugin.errors import RapError
from rap_plugin.rollout import Prompt, Request, Sampling
from tests.engines.hostile_checkpoints import CHECKPOINTS, PLANTED

ROOM = 6 << 30
"""Bytes of address space that a checkpoint may take on top of what this process has."""


@pytest.fixture(autouse=True)
def _bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + ROOM, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


def first_answer(folder: Path) -> str:
    """Opens the model and asks it; what it says goes wrong, empty where it answers. Raises RapError."""
    sampling = Sampling(max_new_tokens=4)
    prompt = Prompt("s", "image", "<image>Which is larger?", (Image.new("RGB", (56, 56)),))
    with closing(open_hf(load_config(flags={"model.id": str(folder), "model.device": "cpu"}).model)) as engine:
        engine.attention_problem(sampling)
        ((answer,),) = engine.generate([Request(prompt, (0,))], sampling)
    assert answer.status in ("ok", "engine_error")
    return answer.error


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoint_from_a_stranger(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(MODEL_DIR, folder)
    change, words = CHECKPOINTS[name]
    change(folder)
    try:
        said = first_answer(folder)
    except RapError as error:
        said = str(error)
    assert not list(tmp_path.rglob(PLANTED)), "code of the checkpoint has run"
    assert "\n" not in said
    assert len(said) < 1000
    assert (said == "") if words is None else (words in said), said
