"""What is shipped: small, whole, nothing else, and the same bytes from every machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="hatchling builds the wheel; it is in the extra `test`")

ROOT = Path(__file__).parents[1]
MOST_BYTES = 20_000_000
CORE = {
    "altair", "click", "jinja2", "math-verify", "numpy", "pillow", "pluggy", "pyarrow", "pydantic", "pyyaml", "rich",
    "vl-convert-python",
}  # fmt: skip


def build(folder: Path, umask: int) -> Path:
    """A wheel of a copy of the tree whose files have other times and rights."""
    tree = folder / "tree"
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        tree.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    shutil.copytree(ROOT / "rap_plugin", tree / "rap_plugin", ignore=shutil.ignore_patterns("__pycache__"))
    for path in tree.rglob("*.py"):
        os.utime(path, (1_600_000_000 + umask, 1_600_000_000 + umask))
        path.chmod(0o666 & ~umask)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=tree, check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("first"), 0o022)


def test_a_second_build_from_another_checkout_has_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    assert build(tmp_path, 0o077).read_bytes() == wheel.read_bytes()


def test_the_wheel_is_under_20_mb_and_holds_the_package_alone(wheel: Path) -> None:
    assert wheel.stat().st_size < MOST_BYTES
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"rap_plugin", f"{wheel.stem.split('-py3')[0]}.dist-info"}
    assert "rap_plugin/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    shipped = {path.relative_to(ROOT).as_posix() for path in (ROOT / "rap_plugin").rglob("*") if path.is_file()}
    shipped = {name for name in shipped if "__pycache__" not in name}
    assert shipped <= set(names)


def test_the_core_needs_few_packages_each_with_a_lower_bound() -> None:
    tomllib = pytest.importorskip("tomllib", reason="it came with Python 3.11")
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert {line.split(">=")[0] for line in needed} == CORE
    assert all(">=" in line for line in needed)
