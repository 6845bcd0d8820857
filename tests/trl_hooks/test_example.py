"""The example, small: it selects, trains with TRL and prints what it measured."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "trl" / "train_grpo.py"


def test_the_example_trains_on_a_selection_that_follows_the_model_and_counts_its_cost(tmp_path: Path) -> None:
    size = ["--problems", "80", "--test", "10", "--steps", "2", "--prompts", "2"]
    kind = ["--algorithm", "rloo", "--reselect", "1", "--no-baseline"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *size, *kind, "--out", str(tmp_path / "run")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"selection at step 0: \d+ rows", done.stdout)
    assert re.search(r"selection at step 1: \d+ rows", done.stdout)
    assert "step   2 of 2: reward" in done.stdout
    assert re.search(r"^all +40 +[01]\.\d{3} +[01]\.\d{3}$", done.stdout, re.MULTILINE)
    assert re.search(r"selection: 800 rollouts, [\d,]+ response tokens, [\d.]+ s", done.stdout)
    assert re.search(r"the selection cost as much as [\d.]+ steps", done.stdout)
    for step in ("step-000000", "step-000001"):
        assert (tmp_path / "run" / "again" / step / "report.html").is_file()


def test_a_pool_too_small_for_one_batch_is_one_line(tmp_path: Path) -> None:
    size = ["--problems", "24", "--test", "10", "--steps", "2", "--prompts", "48"]
    command = [sys.executable, str(SCRIPT), *size, "--reselect", "1", "--no-baseline", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.search(r"^the pool has 24 rows, and the training needs at least 48 of them", done.stderr, re.MULTILINE)
