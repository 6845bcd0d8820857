"""A model that hangs ends the command with one line; what was sampled before is stored."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rap_plugin.cli.path import PATHS
from tests.faults.world import stored

HANGS = """
import time
import torch

calls = 0
linear = torch.nn.functional.linear

def hangs_later(*given, **named):
    global calls
    calls += 1
    if calls > 2500:
        time.sleep(3600)
    return linear(*given, **named)

torch.nn.functional.linear = hangs_later
"""


def test_a_model_that_hangs_ends_the_command_and_nothing_is_lost(tmp_path: Path) -> None:
    plugin = tmp_path / "hangs.py"
    plugin.write_text(HANGS, encoding="utf-8")
    words = ["select", PATHS["demo-pool"], "--model", PATHS["demo-model"], "--out", tmp_path / "run"]
    words += ["--limit", "12", "--batch-size", "8", "--set", "sampling.rollouts=2", "--max-new-tokens", "24"]
    words += ["--set", "selection.min_graded=1"]

    words += ["--plugin", plugin, "--set", "execution.answer_within_s=8"]
    command = [sys.executable, "-m", "rap_plugin.cli", *map(str, words)]
    hung = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert hung.returncode == 1
    (line,) = [line for line in hung.stderr.splitlines() if line.startswith("error")]
    assert "no step of the model ended in 8 s" in line
    assert 0 < len(stored(tmp_path / "run")) < 48
