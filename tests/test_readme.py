"""Every `rap` command of the README runs, on the embedded model and a part of its pool."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="the embedded model needs the extra hf")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]


def commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("rap ")]


def test_the_commands_of_the_readme_run_one_after_the_other(tmp_path: Path) -> None:
    from rap_plugin.demo import MODEL_DIR, POOL_PATH

    assert len(commands()) >= 6
    shutil.copy(POOL_PATH, tmp_path / "pool.parquet")
    for line in commands():
        words = shlex.split(line, comments=True)
        words = [str(MODEL_DIR) if word == "Qwen/Qwen2.5-VL-7B-Instruct" else word for word in words]
        if words[1] == "demo":
            words += ["--limit", "40", "--quiet"]
        if words[1] == "select":
            words += ["--instruction", "", "--limit", "60", "--max-new-tokens", "64", "--batch-size", "300", "--quiet"]
        done = subprocess.run(
            [sys.executable, "-m", "rap_plugin.cli", *words[1:]], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    assert (tmp_path / "run" / "export-trl").is_dir()


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert f"\n{target}:" in makefile


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_what_make_starts_caches_compiled_files_where_the_machine_forbids_it(tmp_path: Path) -> None:
    recipe = tmp_path / "show.mk"
    recipe.write_text(
        f"include {ROOT / 'Makefile'}\nshow:\n\t@{sys.executable} -c 'import sys; print(sys.dont_write_bytecode)'\n"
    )
    done = subprocess.run(
        ["make", "-s", "-f", str(recipe), "show"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "False", done.stderr
