"""Launch scripts: bash runs them, the hosts take every flag, and each stage starts from the one before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.cli.path import PATHS
from rap_plugin.errors import RapError
from rap_plugin.modality_gap.launch import launch_script, write_script
from rap_plugin.modality_gap.recipes import RECIPES, with_changes


def commands(host: Any, name: str, folder: Path, *changes: str) -> list[list[str]]:
    """The commands of a script, word by word, as bash reads them; the data has 100 rows a condition."""
    data = folder / "the data"
    for condition in ("text", "image", "contrastive"):
        rows = data / condition / "openrlhf" / "train.jsonl"
        rows.parent.mkdir(parents=True, exist_ok=True)
        rows.write_text("{}\n" * 100)
    recipe, known = with_changes(RECIPES[name], changes)
    script = write_script(
        folder / "run.sh", launch_script(host, recipe, known, str(data), "some/model", str(folder / "out"), 3)
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(script)], env={**os.environ, "PATH": path, "DRY_RUN": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [block.split("\n") for block in done.stdout.strip().split("\n\n")]


@pytest.fixture(scope="module")
def verl_commands(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    return commands("verl", "curriculum", tmp_path_factory.mktemp("verl"), "tolerance=exact")


def test_verl_takes_every_flag_with_the_published_numbers(verl_commands: list[list[str]]) -> None:
    pytest.importorskip("verl", reason="verl is not installed")
    from hydra import compose, initialize_config_module

    for words in verl_commands:
        assert words[:3] == ["python", "-m", "verl.trainer.main_ppo"]
        # The path comes from `rap path`, which answers from the installed package.
        overrides = [word for word in words[3:] if "custom_reward_function.path" not in word]
        with initialize_config_module(config_module="verl.trainer.config", version_base=None):
            config: Any = compose(config_name="ppo_trainer", overrides=overrides)
        actor = config.actor_rollout_ref.actor
        assert (actor.clip_ratio_low, actor.clip_ratio_high, actor.clip_ratio_c) == (0.2, 0.28, 10.0)
        assert (actor.optim.lr, actor.ppo_mini_batch_size, actor.loss_agg_mode) == (1e-6, 128, "token-mean")
        assert not actor.use_kl_loss
        assert "hf_model" in actor.checkpoint.save_contents
        rollout = config.actor_rollout_ref.rollout
        assert (rollout.n, rollout.temperature, config.data.train_batch_size) == (5, 0.8, 512)
        assert (config.algorithm.filter_groups.enable, config.algorithm.filter_groups.metric) == (True, "reward")
        assert config.reward.reward_manager.name == "dapo"
        assert config.reward.reward_kwargs.overlong_buffer_cfg.len == 1024
        assert config.reward.custom_reward_function.reward_kwargs.tolerance == "exact"
        assert config.trainer.total_training_steps == 200


def test_verls_overlong_shaping_gets_what_it_reads(verl_commands: list[list[str]]) -> None:
    pytest.importorskip("verl", reason="verl is not installed")
    from hydra import compose, initialize_config_module
    from verl.experimental.reward_loop.reward_manager.dapo import DAPORewardManager

    overrides = [word for word in verl_commands[0][3:] if "custom_reward_function.path" not in word]
    with initialize_config_module(config_module="verl.trainer.config", version_base=None):
        config: Any = compose(config_name="ppo_trainer", overrides=overrides)
    manager = DAPORewardManager(config, None, lambda **_: 1.0)
    assert manager.max_resp_len == 4096
    assert (manager.overlong_buffer_cfg.enable, manager.overlong_buffer_cfg.penalty_factor) == (True, 1.0)


def test_a_stage_starts_from_the_weights_of_the_one_before(verl_commands: list[list[str]]) -> None:
    def said(words: list[str], name: str) -> str:
        return next(word.partition("=")[2].replace("'", "") for word in words if word.startswith(name + "="))

    first, second = verl_commands
    assert said(first, "actor_rollout_ref.model.path") == "some/model"
    assert said(second, "actor_rollout_ref.model.path") == (
        said(first, "trainer.default_local_dir") + "/global_step_200/actor/huggingface"
    )
    assert said(first, "data.train_files").endswith("/the data/text/train.parquet]")
    assert said(second, "data.train_files").endswith("/the data/image/train.parquet]")


@pytest.mark.parametrize("name", ["mix", "curriculum"])
def test_openrlhf_takes_every_flag_with_the_published_numbers(name: str, tmp_path: Path) -> None:
    pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")
    from tests.openrlhf_hooks.command import run_command

    for words in commands("openrlhf", name, tmp_path):
        assert words[:3] == ["python", "-m", "openrlhf.cli.train_ppo_ray"]
        args = run_command(words[3:])
        assert (args.actor.eps_clip_low_high, args.actor.dual_clip) == ([0.2, 0.28], 10.0)
        assert (args.actor.adam.lr, args.actor.lr_scheduler, args.actor.loss_agg_mode) == (
            1e-6,
            "constant",
            "token-mean",
        )
        assert (args.rollout.batch_size, args.rollout.n_samples_per_prompt, args.rollout.temperature) == (512, 5, 0.8)
        assert args.train.batch_size == 128 * 5
        assert args.algo.dynamic_filtering_enable
        assert (args.reward.overlong_buffer_len, args.reward.overlong_penalty_factor) == (1024, 1.0)
        assert (args.data.max_len, args.rollout.max_new_tokens) == (2048 + 4096, 4096)
        rows = 200 if name == "mix" else 100
        assert args.train.num_episodes == 3 * 200 * 512 // rows + 1
        assert args.ckpt.save_hf
        if name == "mix":
            assert args.data.prompt_probs == "0.5,0.5"
            assert args.data.prompt_dataset.count("train.jsonl") == 2


@pytest.mark.parametrize(("who", "asked"), [("teacher", "prompt"), ("student", "contrastive_prompt")])
def test_verl_trains_a_contrastive_stage_with_our_engine_and_agent_loop(who: str, asked: str, tmp_path: Path) -> None:
    pytest.importorskip("verl", reason="verl is not installed")
    from hydra import compose, initialize_config_module

    from rap_plugin.verl_hooks.options import contrastive_of

    changes = ("contrastive.form=forward_kl", f"contrastive.sampled_by={who}", "start_step=50", "save_every=10")
    first, second = commands("verl", "kl_curriculum", tmp_path, *changes)
    assert first[:3] == [
        "env",
        "VERL_USE_EXTERNAL_MODULES=rap_plugin.verl_hooks.contrastive_engine",
        "VERL_ENGINE_VENDOR=rap",
    ]
    overrides = [word for word in first[6:] if "=/" not in word.partition("path")[2]]
    with initialize_config_module(config_module="verl.trainer.config", version_base=None):
        config: Any = compose(config_name="ppo_trainer", overrides=overrides)
    loss, other = contrastive_of(config.data.rap)
    assert (loss.form, loss.coefficient, loss.sampled_by, config.data.prompt_key) == ("forward_kl", 0.01, who, asked)
    assert {other, asked} == {"prompt", "contrastive_prompt"}
    assert config.actor_rollout_ref.rollout.agent.default_agent_loop == "rap_contrastive"
    assert config.ray_kwargs.ray_init.runtime_env.env_vars.VERL_ENGINE_VENDOR == "rap"
    assert config.trainer.total_training_steps == 50
    start = next(word for word in second if word.startswith("actor_rollout_ref.model.path="))
    assert start.endswith("/out/contrastive_kl/global_step_50/actor/huggingface'")


@pytest.mark.parametrize(
    ("who", "asked", "other"),
    [("teacher", "prompt", "contrastive_prompt"), ("student", "contrastive_prompt", "prompt")],
)
def test_openrlhf_trains_a_contrastive_stage_itself(who: str, asked: str, other: str, tmp_path: Path) -> None:
    pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")
    from rap_plugin.openrlhf_hooks import launch
    from rap_plugin.openrlhf_hooks.additions import contrastive_of
    from tests.openrlhf_hooks.command import run_command

    first, second = commands(
        "openrlhf", "kl_curriculum", tmp_path, "contrastive.form=forward_kl", f"contrastive.sampled_by={who}"
    )
    launch.install()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(launch, "wrap_command", lambda command, given: None)
            args = run_command(first[3:])
    finally:
        launch.uninstall()
    loss = contrastive_of(vars(args.rap))
    assert loss is not None
    assert (loss.form, loss.coefficient, loss.sampled_by) == ("forward_kl", 0.01, who)
    assert (args.data.input_key, args.rap.contrastive_key) == (asked, other)
    assert args.data.prompt_dataset.endswith("/contrastive/openrlhf/train.jsonl")
    start = second[second.index("--actor.model_name_or_path") + 1]
    assert start.endswith("/out/contrastive_kl/checkpoints/global_step200_hf")


@pytest.mark.parametrize("odd", ["it's", 'a "b"', "lr=1e-6", "数据", "a,b [c]", "$(touch x)", "a;b & c", "~x", "100%"])
def test_verl_reads_every_path_as_it_is(odd: str, tmp_path: Path) -> None:
    parser = pytest.importorskip("hydra.core.override_parser.overrides_parser").OverridesParser.create()
    folder = tmp_path / odd
    folder.mkdir()
    for words in commands("verl", "kl_curriculum", folder):
        named = ("data.train_files=", "data.val_files=", "trainer.default_local_dir=")
        said = [parser.parse_override(word).value() for word in words if word.startswith(named)]
        assert len(said) == 3
        for value in said:
            for path in value if isinstance(value, list) else [value]:
                assert str(path).startswith(f"{folder}/")
    assert [one.name for one in tmp_path.iterdir()] == [odd]


@pytest.mark.parametrize("odd", ["it's", 'a "b"', "lr=1e-6", "数据", "[c]", "$(touch x)", "a;b & c"])
def test_openrlhf_gets_every_path_as_it_is(odd: str, tmp_path: Path) -> None:
    folder = tmp_path / odd
    folder.mkdir()
    first, second = commands("openrlhf", "curriculum", folder)
    assert first[first.index("--data.prompt_dataset") + 1] == f"{folder}/the data/text/openrlhf/train.jsonl"
    assert second[second.index("--ckpt.path") + 1] == f"{folder}/out/curriculum/checkpoints"


@pytest.mark.parametrize("odd", ["a,b", "a@b"])
def test_a_path_that_openrlhf_takes_apart_is_one_line(odd: str) -> None:
    with pytest.raises(RapError, match="rename the folder"):
        launch_script("openrlhf", RECIPES["mix"], RECIPES, f"/x/{odd}", "model", "out")


def test_a_script_runs_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    arguments = ["full_text", "--host", "verl", "--data", "data", "--out", "out", "--model"]
    for model, written in (("model", f"hydra {tmp_path}/model"), ("Qwen/Qwen2.5-VL-7B-Instruct", "hydra Qwen/")):
        done = CliRunner().invoke(cli, ["modality-gap", "train", *arguments, model])
        assert done.exit_code == 0, done.output
        assert written in (tmp_path / "out" / "full_text-verl.sh").read_text()


def test_another_host_is_one_line() -> None:
    with pytest.raises(RapError, match="openrlhf, verl"):
        launch_script("easyr1", RECIPES["mix"], RECIPES, "data", "model", "out")  # type: ignore[arg-type]


def test_the_reward_files_that_scripts_name_are_there() -> None:
    for name in ("verl-modality-gap-reward", "openrlhf-modality-gap-reward", "openrlhf-modality-gap-reward-exact"):
        assert PATHS[name].is_file()
