"""The launch scripts: every flag of the verl command is one that verl's own configuration takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Prepared

ROOT = Path(__file__).resolve().parents[2]


def dry_run(script: str, *arguments: str, **settings: str) -> list[str]:
    """The command that a script of the examples would run, word by word."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(ROOT / "examples" / script), *arguments],
        env={**os.environ, "PATH": path, "DRY_RUN": "1", **settings},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("reweight", ["", "1"])
def test_verl_takes_every_flag_of_its_launch_script(prepared: Prepared, tmp_path: Path, reweight: str) -> None:
    pytest.importorskip("verl", reason="verl is not installed")
    from hydra import compose, initialize_config_module
    from verl.trainer.ppo.reward import get_custom_reward_fn
    from verl.trainer.ppo.utils import create_rl_dataset

    settings = {"RUN": str(prepared.run), "DATA": str(prepared.pool), "VALIDATION": str(prepared.validation)}
    words = dry_run("verl/train.sh", "data.seed=5", **settings, REWEIGHT=reweight)
    assert words[:3] == ["python", "-m", "verl.trainer.main_ppo"]
    # The pool of the test is smaller than the script's batch.
    small = ["data.filter_overlong_prompts=False", "data.train_batch_size=4"]
    overrides = [*words[3:], *small, f"+data.cache_dir={tmp_path}"]
    with initialize_config_module(config_module="verl.trainer.config", version_base=None):
        config: Any = compose(config_name="ppo_trainer", overrides=overrides)
    assert config.data.seed == 5, "the user's own flags win"
    dataset = create_rl_dataset(config.data.train_files, config.data, None, object())
    assert list(dataset.dataframe["rap_id"]) == prepared.ids
    assert (dataset.curriculum is not None) == bool(reweight)
    score = get_custom_reward_fn(config)
    assert score is not None
    given = {"data_source": "d", "ground_truth": "12", "extra_info": {}}
    assert score(solution_str="<think>.</think> \\boxed{12}", **given)["score"] == 1.0
    assert score(solution_str="\\boxed{12}", **given)["score"] == 0.9


def test_the_easyr1_script_exports_and_names_files_that_are_there(prepared: Prepared) -> None:
    small = ["data.rollout_batch_size=4", "worker.actor.global_batch_size=2"]
    words = dry_run("easyr1/train.sh", str(prepared.run), "trainer.total_epochs=2", *small)
    start = words.index("python")
    assert words[start : start + 3] == ["python", "-m", "verl.trainer.main"]
    given = dict(word.split("=", 1) for word in words[start + 3 :])
    assert given["trainer.total_epochs"] == "2"
    for name in ("config", "data.train_files", "data.format_prompt"):
        assert Path(given[name]).is_file(), name
    file, function = given["worker.reward.reward_function"].rsplit(":", 1)
    assert (Path(file).name, function) == ("easyr1_reward.py", "compute_score")
