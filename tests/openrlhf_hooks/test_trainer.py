"""The selection in OpenRLHF's own logs: its trainer classes, its TensorBoard and W&B loggers, read back."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")

import torch

from rap_plugin.openrlhf_hooks import contract
from rap_plugin.openrlhf_hooks.additions import Additions
from tests.event_files import history_of, scalars_of

from .command import arguments, run_command

METRICS = {"rap/selected": 12.0, "rap/share": 0.25, "rap/verdict/easy": 0.5}
ROOT = str(Path(__file__).resolve().parents[2])


def batch(groups, micro=2):
    """Experiences as OpenRLHF leaves them after `compute_advantages_and_returns`: responses in order, `micro` at a time."""
    from openrlhf.trainer.ppo_utils.experience import Experience

    rewards = torch.tensor(groups, dtype=torch.float32)
    spread = rewards.std(-1, keepdim=True).expand_as(rewards).reshape(-1).split(micro)
    ones = torch.ones(micro)
    return [
        Experience(response_length=ones, truncated=ones * 0, info={"reward": reward, "group_reward_std": std})
        for reward, std in zip(rewards.reshape(-1).split(micro), spread, strict=True)
    ]


@pytest.mark.parametrize("name", ["RapTrainer", "RapTrainingActor"])
def test_the_selection_and_every_steps_informative_groups_are_in_tensorboard(name, tmp_path, monkeypatch):
    from openrlhf.trainer import ppo_trainer

    from rap_plugin.openrlhf_hooks import trainer as ours

    # The models, the engines and the data of a training are not needed for its logs.
    monkeypatch.setattr(ppo_trainer, "RemoteExperienceMaker", lambda *arguments: None)
    monkeypatch.setattr(ppo_trainer, "SamplesGenerator", lambda **options: None)
    monkeypatch.setattr(ppo_trainer, "get_tokenizer", lambda *arguments, **options: None)
    monkeypatch.setattr(ppo_trainer, "prepare_datasets", lambda strategy, tokenizer: (None, None, 7))
    home = importlib.import_module(contract.ASYNC_TRAINING.partition(":")[0])
    monkeypatch.setattr(home, "get_tokenizer", lambda *arguments, **options: None)
    logs = ["--logger.tensorboard_dir", str(tmp_path), "--logger.wandb.run_name", "run", "--ckpt.save_steps", "10"]
    args = run_command(arguments("model", "train.jsonl", *logs))
    more = {"vllm_lock": None, "rollout_queue": None, "rollout_slots": None} if name == "RapTrainingActor" else {}
    trainer = getattr(ours, name)(
        Additions(METRICS), "model", SimpleNamespace(args=args), None, None, None, None, None, **more
    )
    for step, groups in enumerate([[[1, 0], [1, 1]], [[0, 0], [1, 1]], [[1, 0], [0, 1]]], 1):
        trainer.save_logs_and_checkpoints(step, trainer._compute_rollout_stats(batch(groups)))
    trainer.tensorboard_logger.close()
    found = scalars_of(tmp_path / "run")
    for key, value in METRICS.items():
        assert found[f"train/{key}"] == [(0, value)]
    assert found["train/rap/informative_groups"] == [(1, 0.5), (2, 0.0), (3, 1.0)]
    assert [step for step, _ in found["train/rollout/reward_mean"]] == [1, 2, 3], "what OpenRLHF logs is there as ever"


def test_the_selection_is_in_wandbs_offline_run(tmp_path, offline_wandb):
    from openrlhf.utils.logging_utils import WandbLogger

    from rap_plugin.openrlhf_hooks.trainer import log_selection

    args = run_command(arguments("model", "train.jsonl", "--logger.wandb.key", "0" * 40))
    logger = WandbLogger(args)
    log_selection(logger, METRICS)
    logger.close()
    (first, *_) = history_of(tmp_path)
    assert first["train/global_step"] == 0
    assert {key: first[f"train/{key}"] for key in METRICS} == METRICS


def test_groups_of_one_response_have_no_share():
    from rap_plugin.openrlhf_hooks.trainer import informative_groups

    assert informative_groups([SimpleNamespace(info={"reward": torch.ones(2)})]) == {}


@pytest.mark.slow
def test_the_trainers_own_process_logs_the_selection(ray_here, tiny_model, write_chat_pool, tmp_path, monkeypatch):
    from openrlhf.utils import get_strategy

    from rap_plugin.openrlhf_hooks import trainer

    module, _, name = contract.TRAINER.partition(":")
    home = importlib.import_module(module)
    monkeypatch.setattr(home, name, getattr(home, name))  # put back at the end
    logs = ["--logger.tensorboard_dir", str(tmp_path), "--logger.wandb.run_name", "run"]
    args = run_command(arguments(tiny_model, write_chat_pool(16), *logs))
    trainer.install({}, args, Additions(METRICS))
    strategy = get_strategy(args)
    # As the command starts it, without models: they need CUDA.
    started = getattr(home, name).remote(str(tiny_model), strategy, None, None, None, None, None, max_len=256)
    assert ray_here.get(started.get_max_steps.remote()) == 16 * 4 // 8
    ray_here.kill(started)
    assert scalars_of(tmp_path / "run")["train/rap/share"] == [(0, 0.25)]


def test_every_prompt_of_the_trainers_own_loader_knows_its_row_and_its_other_prompt(
    tiny_model, processor, write_chat_pool
):
    import pickle

    from openrlhf.trainer.ppo_trainer import prepare_datasets
    from openrlhf.trainer.ppo_utils.samples_generator import _collect_prompt_batch
    from openrlhf.utils import get_strategy

    from rap_plugin.openrlhf_hooks.trainer import read_rows

    other = [{"role": "user", "content": "<image>Look at it."}]
    file = write_chat_pool(5, contrastive_prompt=other)
    file.write_text(file.read_text() + file.read_text().splitlines()[0].replace("contrastive_prompt", "nothing") + "\n")
    strategy = get_strategy(run_command(arguments(tiny_model, file)))
    loader, _, _ = prepare_datasets(strategy, processor)
    plain = list(loader.dataset.prompts)
    generator = SimpleNamespace(tokenizer=processor)
    reader = SimpleNamespace(args=strategy.args, prompts_dataloader=loader, samples_generator=generator)
    read_rows(reader, Additions(other_key="contrastive_prompt"))
    prompts, labels, _, _ = _collect_prompt_batch(iter(loader), 6)
    prompts = pickle.loads(pickle.dumps(prompts))  # as Ray sends them
    assert [prompt.row for prompt in prompts] != list(range(6)), "OpenRLHF shuffles"
    for prompt, label in zip(prompts, labels, strict=True):
        assert (prompt, label) == (plain[prompt.row], str(prompt.row % 5))
        assert prompt.other is None if prompt.row == 5 else prompt.other.count("Look at it.") == 1
        assert prompt.other is None or prompt.other.count("<|image_pad|>") == 1


def test_a_logger_that_moved_is_named_and_training_goes_on(monkeypatch):
    from openrlhf.utils.logging_utils import WandbLogger

    assert contract.not_logged() == ""
    monkeypatch.setattr(WandbLogger, "log_train", lambda self, step: None)
    assert contract.not_logged() == "openrlhf.utils.logging_utils.WandbLogger.log_train has no parameter 'global_step'"
    assert contract.unmet() == []
