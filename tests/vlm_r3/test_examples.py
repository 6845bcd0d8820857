"""examples/vlm_r3: every script and file as its host reads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rap_plugin.cli.path import PATHS
from rap_plugin.vlm_r3.scenes import make_scenes, pool_rows

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "vlm_r3"


@pytest.fixture
def command_of(tmp_path: Path):
    """`command_of(script, *flags, **variables)`: (the command that it starts, its RAP_ variables), from a `python` that says so."""
    recorder = tmp_path / "bin" / "python"
    recorder.parent.mkdir()
    told = '[sys.argv[1:], {k: v for k, v in os.environ.items() if k.startswith("RAP_")}]'
    recorder.write_text(f"#!{sys.executable}\nimport json, os, sys\nprint(json.dumps({told}))\n")
    recorder.chmod(0o755)
    search = f"{recorder.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"

    def get(script: str, *flags: str, **variables: str) -> tuple[list[str], dict[str, str]]:
        done = subprocess.run(
            ["bash", EXAMPLES / script, *flags],
            env={"PATH": search, "HOME": str(tmp_path), **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return get


def test_openrlhf_takes_every_flag_and_gets_the_agent_and_the_published_numbers(command_of) -> None:
    pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")
    from tests.openrlhf_hooks.command import run_command

    (_, module, *argv), variables = command_of(
        "openrlhf.sh", "--train.seed", "7", MODEL="m", DATA="d", JUDGE="j@http://h/v1"
    )
    assert module == "openrlhf.cli.train_ppo_ray"
    args: Any = run_command(argv)
    assert args.train.agent_func_path.endswith("openrlhf_hooks/r3_agent.py")
    assert Path(args.train.agent_func_path).is_file()
    assert (args.rollout.n_samples_per_prompt, args.rollout.batch_size, args.train.batch_size) == (5, 40, 200)
    assert (args.actor.adam.lr, args.algo.kl.init_coef, args.rollout.temperature) == (1e-6, 0, 1.0)
    assert args.train.seed == 7, "the user's own flags win"
    assert variables["RAP_R3_REWARD"] == "released"
    assert variables["RAP_JUDGE"] == "j@http://h/v1"
    assert "RAP_JUDGE" not in command_of("openrlhf.sh", MODEL="m", DATA="d")[1]


def test_verl_takes_every_flag_and_gets_the_agent_loop(command_of) -> None:
    pytest.importorskip("verl", reason="verl is not installed")
    from hydra import compose, initialize_config_module

    given = {"MODEL": "m", "DATA": "d.parquet", "VALIDATION": "v.parquet"}
    (_, module, *words), variables = command_of("verl.sh", "data.seed=5", **given)
    assert module == "verl.trainer.main_ppo"
    with initialize_config_module(config_module="verl.trainer.config", version_base=None):
        config: Any = compose(config_name="ppo_trainer", overrides=words)
    agent = config.actor_rollout_ref.rollout.agent
    assert agent.default_agent_loop == "rap_r3"
    assert Path(agent.agent_loop_config_path).name == PATHS["verl-r3-agent"].name
    assert (config.data.train_batch_size, config.actor_rollout_ref.rollout.n, config.data.seed) == (40, 5, 5)
    assert variables == {"RAP_R3_REWARD": "released", "RAP_R3_MAX_SEGMENTS": "8"}


def test_the_training_script_builds_rows_and_names_the_recipe(command_of, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(pool_rows(make_scenes(2, "train", seed=9))), tmp_path / "pool.parquet")
    given = {"POOL": str(tmp_path / "pool.parquet"), "MODEL": "m", "LAUNCH": "", "COORDINATES": "normalised"}
    words, _ = command_of("train.sh", "--seed", "3", **given)
    assert words[:4] == ["-m", "rap_plugin.cli", "r3", "train"]
    assert Path(words[4]).name == "recipe.yaml"
    options = dict(pairwise(words[5:]))
    assert (options["--model"], options["--seed"]) == ("m", "3")
    assert (tmp_path / options["--data"] / "rl.jsonl").read_text().count("\n") == 2


def test_lmms_eval_gets_options_that_the_model_takes_and_tasks_that_there_are(command_of) -> None:
    from rap_plugin.vlm_r3.answering import flat_config

    words, _ = command_of("evaluate.sh", "--limit", "2", MODEL="m", ENGINE="hf", OPTIONS="max_crops=4")
    assert words[:2] == ["-m", "lmms_eval"]
    options = dict(pairwise(words))
    given = dict(pair.split("=", 1) for pair in options["--model_args"].split(","))
    traces = given.pop("traces")
    assert traces.endswith("traces.jsonl")
    config = flat_config(given.pop("pretrained"), given)
    assert (config.model.engine, config.r3.max_crops, config.model.options) == ("hf", 4, {})
    assert all((PATHS["lmms-tasks"] / f"{task}.yaml").is_file() for task in options["--tasks"].split(","))


def test_vlmevalkits_configuration_names_options_that_the_model_takes_and_data_sets_that_there_are() -> None:
    from rap_plugin.evaluation.task_names import DATASETS
    from rap_plugin.vlm_r3.answering import flat_config

    config = json.loads((EXAMPLES / "vlmeval_config.json").read_text())
    for model in config["model"].values():
        assert model.pop("class") == "RapR3Model"
        model.pop("traces")
        assert not flat_config(model.pop("pretrained"), model).model.options
    assert all(name == data["dataset"] and name in DATASETS for name, data in config["data"].items())
