"""Fixtures that many rooms share."""

from __future__ import annotations

import io
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

# Nothing in the tests may look for a model or data set on the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Waiting threads of torch sleep instead of spinning: the tests start many processes on few cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

STARTS_RAY = ("tests/openrlhf_hooks/", "tests/verl_hooks/", "tests/executors/")
"""Tests that start a Ray of their own, and look for its processes by name: one after the other."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Under `pytest -n 2` a file stays with one worker process, and everything that starts Ray with the same one."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return "ray" if file.startswith(STARTS_RAY) else file

    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test` has a time to keep: what is marked `long` is a target of its own."""
    if os.environ.get("RAP_LONG_TESTS"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="half a minute or more: make long"))


@pytest.fixture(autouse=True)
def _one_environment() -> Iterator[None]:
    """`datasets` puts a copy into `os.environ` after work in several processes; rich and others keep the first one."""
    first = os.environ
    yield
    if os.environ is not first:
        changed = dict(os.environ)
        os.environ = first  # noqa: B003 - the very object is what is put back
        os.environ.clear()
        os.environ.update(changed)


SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def logicvista() -> Path:
    """Real LogicVista rows, where the developer has them beside the checkout."""
    folder = SHARED_DATA / "logicvista"
    if not folder.is_dir():
        pytest.skip("no ../shared/data/logicvista beside this checkout: these tests need real benchmark rows")
    return folder


def png(number: int, size: tuple[int, int] = (12, 10)) -> bytes:
    """A small real PNG whose colour says which one it is."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", size, (number % 256, number // 256 % 256, 77)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def write_pool(tmp_path: Path) -> Callable[..., Path]:
    """Writes a Parquet pool of `n` numbered problems (question, answer, one image, one further column)."""

    def write(n: int = 24, name: str = "pool.parquet", order: list[int] | None = None) -> Path:
        numbers = order if order is not None else list(range(n))
        struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table(
            {
                "problem": [f"<image>What is number {i}? Count the {'x' * (i % 7)}s." for i in numbers],
                "answer": [str(i) for i in numbers],
                "images": pa.array([[{"bytes": png(i), "path": f"{i}.png"}] for i in numbers], pa.list_(struct)),
                "level": pa.array(numbers, pa.int16()),
            }
        )
        path = tmp_path / name
        pq.write_table(table, path, row_group_size=7)
        return path

    return write


@pytest.fixture
def offline_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """W&B writes below `tmp_path`. It keeps the folder and the service of a process's first run until it is torn down."""
    wandb = pytest.importorskip("wandb", reason="W&B is not installed")
    wandb.teardown()
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    yield
    wandb.teardown()


@pytest.fixture
def on_a_terminal() -> Callable[[str], str]:
    """Runs code with its standard error on a pseudo terminal and gives back what was drawn there."""
    pty = pytest.importorskip("pty", reason="pseudo terminals are a Unix thing")

    def run(code: str) -> str:
        ours, theirs = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=theirs, env=environment
        )
        os.close(theirs)
        drawn = b""
        while select.select([ours], [], [], 60)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux's way to say that the other side is closed
                break
            if not part:
                break
            drawn += part
        os.close(ours)
        assert process.wait(timeout=60) == 0
        return drawn.decode()

    return run
