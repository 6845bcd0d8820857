"""The example, small: it selects, trains with TRL and prints what it measured."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoModelForImageTextToText

from rap_plugin import load_config, select_run
from rap_plugin.demo import MODEL_DIR, POOL_PATH
from rap_plugin.exports import export_run

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "trl"
SCRIPT = EXAMPLES / "train_grpo.py"


@pytest.mark.long
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


def test_the_launch_script_trains_as_many_steps_as_its_plan_says_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    flags = {"pool.path": str(POOL_PATH), "pool.limit": 12, "model.id": str(MODEL_DIR), "sampling.rollouts": 1}
    flags |= {"sampling.max_new_tokens": 16, "selection.selector": "random", "selection.keep": 0.75}
    select_run(load_config(flags=flags), run, quiet=True)
    export_run(run, "trl", run / "export-trl")
    sizes = [
        "--prompts",
        "4",
        "--batch",
        "2",
        "--generations",
        "2",
        "--per-device",
        "2",
        "--tokens",
        "16",
        "--every",
        "1",
    ]
    script = ["train_selected.py", "--run", str(run), "--model", str(MODEL_DIR), "--out", str(out), *sizes]
    main = runpy.run_path(str(EXAMPLES / "train_selected.py"))["main"]
    load, loaded = AutoModelForImageTextToText.from_pretrained, []
    monkeypatch.setattr(
        AutoModelForImageTextToText,
        "from_pretrained",
        lambda path, **more: loaded.append(str(path)) or load(path, **more),
    )

    def steps(epochs: int) -> tuple[int, list[float]]:
        monkeypatch.setattr(sys, "argv", [*script, "--epochs", str(epochs), "--dry-run"])
        main()
        planned = capsys.readouterr().out
        monkeypatch.setattr(sys, "argv", sys.argv[:-1])
        main()
        state = json.loads((out / f"checkpoint-{4 * epochs}" / "trainer_state.json").read_text())
        assert f"training on them: {state['global_step']} optimizer steps in {epochs} epoch" in planned
        return state["global_step"], [
            entry["rap/selected"] for entry in state["log_history"] if "rap/selected" in entry
        ]

    assert steps(1) == (4, [9.0])
    assert steps(2) == (8, [9.0]), "from the checkpoint on, and the selection is logged once"
    # Trainer passes over a checkpoint whose weights have other names than the modules: they are loaded as a model is.
    assert loaded[0] == str(MODEL_DIR)
    assert loaded[-1] == str(out / "checkpoint-4")
    assert len(list(out.glob("checkpoint-*"))) == 3
