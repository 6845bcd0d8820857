"""The check of a machine with one GPU, as far as a CPU goes: its small mode, steps that fail or hang, and its page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from gpu_check.needed import needed
from gpu_check.page import HEAD, PARTS, SHOWN, render
from gpu_check.run import LIMITS, TOTAL_S, run_step

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "gpu_check.sh"


@pytest.fixture
def in_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, ROOT / "scripts"))))


@pytest.mark.long
@pytest.mark.slow
def test_the_small_mode_runs_whole_on_a_cpu_and_leaves_the_page_in_docs_alone(tmp_path: Path) -> None:
    before = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    (tmp_path / "wheels").mkdir()
    command = [str(SCRIPT), "--small", "--out", str(tmp_path / "out"), "--wheels", str(tmp_path / "wheels")]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {name: result["status"] for name, result in results.items()} == dict.fromkeys(LIMITS, "done")
    found = {name: result["found"] for name, result in results.items()}
    assert found["tests"]["skipped"] == found["tests"]["tests"] > 5, "all of them need a GPU"
    for name in ("attention-3b", "attention-7b"):
        assert [row["mode"] for row in found[name]["passes"]] == ["plain", "measured", "eager"] * 2
        assert found[name]["difference"] < 0.05
    assert found["shrink"]["widest_without"] < found["shrink"]["widest_with_room"] == found["shrink"]["finished"]
    assert [run["rollouts"] for run in found["select"]["runs"]] == [60]
    assert any(line.startswith("a training step: ") for line in found["grpo"]["said"])
    page = (tmp_path / "out" / "gpu.md").read_text()
    assert "Small mode" in page
    assert "Not run yet" not in page
    assert (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8") == before


@pytest.mark.usefixtures("in_scripts")
def test_a_step_that_fails_is_reported_with_its_last_line(tmp_path: Path) -> None:
    result = run_step("no-such-step", tmp_path, 120, small=True)
    assert result["status"].startswith("failed: ")
    assert "no-such-step" in result["status"]
    assert result["found"] == {}


@pytest.mark.usefixtures("in_scripts")
def test_a_step_that_takes_too_long_is_cut(tmp_path: Path) -> None:
    assert run_step("select", tmp_path, 0.3, small=True)["status"] == "cut after 0 s"


def test_all_steps_together_stay_under_ten_minutes() -> None:
    assert TOTAL_S < 600
    assert set(LIMITS) == set(PARTS) == set(SHOWN)


def test_the_page_is_the_one_that_the_script_writes() -> None:
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    assert page.startswith(HEAD)
    assert "Small mode" not in page
    if "memory_gib" not in page:
        assert page == render({}), "run PYTHONPATH=scripts python -m gpu_check.page"


def test_the_page_shows_what_a_cut_step_had_and_where_memory_ran_out() -> None:
    passes = [
        {"length": 8192, "mode": "plain", "seconds": 0.5, "peak_mib": 900.0},
        {"length": 8192, "mode": "measured", "seconds": 0.505, "peak_mib": 930.0, "measuring_s": 0.004},
        {"length": 8192, "mode": "eager", "out_of_memory": True},
    ]
    found = {"shape": "Qwen2.5-VL-7B", "device": "cuda", "passes": passes}
    page = render({"attention-7b": {"status": "cut after 75 s", "seconds": 75.0, "found": found}})
    assert "**cut after 75 s**" in page
    assert "| 8,192 | measured | 505.0 | 1.010 | 4.0 | 930 |" in page
    assert "| 8,192 | eager | out of memory |" in page
    assert page.count("Not run yet.") == len(PARTS) - 1


def test_what_wheels_are_needed_follows_the_packages_own_requirements() -> None:
    found = needed(ROOT / "pyproject.toml")
    names = [line.split(">")[0] for line in found]
    assert {"pyarrow", "pluggy", "trl", "pytest", "datasets"} <= set(names)
    assert not {"torch", "transformers", "rap-plugin[hf]"} & set(names)
