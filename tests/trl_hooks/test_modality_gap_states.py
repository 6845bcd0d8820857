"""A curriculum from one command: killed on its way, it goes on to the same end, and every state that it kept is measured."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="TRL is not installed (pip install 'rap-plugin[trl]')")

from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.errors import RapError
from rap_plugin.modality_gap import POOL_DIR
from rap_plugin.modality_gap.recipes import RECIPES, with_changes
from rap_plugin.modality_gap.records import read_records
from rap_plugin.trl_hooks.modality_gap import FINAL, TrainingRun, train
from tests.trl_hooks.gap_training import SMALL, build_model, differ, weights, write_pairs

CHANGES = (*SMALL, "start_step=1")


@pytest.mark.slow
@pytest.mark.long
def test_a_killed_curriculum_goes_on_to_the_same_weights_and_every_kept_state_is_measured_once(tmp_path: Path) -> None:
    pairs, model, out = write_pairs(tmp_path / "train.parquet"), build_model(tmp_path / "model"), tmp_path / "out"
    line = ["modality-gap", "train", "curriculum", "--data", str(pairs), "--model", str(model), "--out", str(out)]
    line += [word for change in CHANGES for word in ("--set", change)]
    line += ["--evaluate", str(POOL_DIR), "--evaluate-split", "test", "--evaluate-limit", "2"]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "rap_plugin.cli", *line], env={**os.environ, "OMP_NUM_THREADS": "1"}
        )

    first = start()
    while not list((out / "curriculum" / "seed-0").glob("checkpoint-*")):
        assert first.poll() is None, "the training ended before it was killed"
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not (out / "curriculum" / "seed-0" / FINAL).exists()
    assert start().wait() == 0
    undisturbed = TrainingRun(pairs, str(model), tmp_path / "undisturbed", say=lambda _: None)
    end = train(*_of_run(undisturbed))
    assert not differ(weights(out / "curriculum" / "seed-0" / FINAL), weights(end))

    records, problems = read_records([out])
    assert problems == []
    shown = [(record.recipe, record.step) for record in records]
    states = [("base", 0), ("full_text", 1), ("full_text", 2), ("curriculum", 2), ("curriculum", 3)]
    assert {state: shown.count(state) for state in states} == dict.fromkeys(states, 4), "two problems in two conditions"
    assert len(shown) == 4 * len(states)
    assert all(len(record.right) == len(record.tokens) == 4 for record in records)

    lines = {path: path.read_bytes() for path in out.rglob("gap.jsonl")}
    again = CliRunner().invoke(cli, line, catch_exceptions=False)
    assert "done before" in again.output
    assert {path: path.read_bytes() for path in out.rglob("gap.jsonl")} == lines, (
        "what is measured is not measured again"
    )
    report = CliRunner().invoke(cli, ["modality-gap", "report", str(out)], catch_exceptions=False)
    assert [text.split(",")[0] for text in report.output.splitlines()[:3]] == ["base", "curriculum", "full_text"]
    assert "curriculum" in (out / "gap.html").read_text()


def test_a_pool_that_cannot_be_measured_on_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    line = ["modality-gap", "train", "mix", "--data", str(tmp_path), "--model", "m", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(cli, [*line, "--evaluate", str(tmp_path / "nothing.parquet")])
    assert isinstance(done.exception, RapError)
    assert "nothing.parquet" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_a_training_elsewhere_is_not_measured_here(tmp_path: Path) -> None:
    line = ["modality-gap", "train", "mix", "--data", str(tmp_path), "--model", "m", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(cli, [*line, "--host", "verl", "--evaluate", str(POOL_DIR)])
    assert isinstance(done.exception, RapError)
    assert "see modality-gap measure" in str(done.exception)


def _of_run(run: TrainingRun):  # type: ignore[no-untyped-def]
    recipe, known = with_changes(RECIPES["curriculum"], CHANGES)
    return recipe, run, known
