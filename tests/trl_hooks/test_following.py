"""Following under TRL's real trainer: in one process and in two, interrupted and resumed."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trl

from rap_plugin.config import ModelConfig
from rap_plugin.engines import open_hf
from rap_plugin.errors import RapError
from rap_plugin.posterior.following import FollowOptions
from rap_plugin.rollout import Prompt, Sampling
from rap_plugin.trl_hooks import accuracy_reward, follow
from rap_plugin.trl_hooks.prompting import read_prompts
from tests.trl_hooks.follow_script import make_dataset

SCRIPT = Path(__file__).with_name("follow_script.py")


def train(
    out: Path, steps: int, resume: str = "", processes: int = 1, renew: float = 0.0, renew_attention: float = 0.0
) -> list[dict[str, Any]]:
    """What each process saw of a training."""
    out.mkdir(exist_ok=True, parents=True)
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    command = [sys.executable, "-W", "ignore", *launch, str(SCRIPT), str(out), str(steps), str(renew)]
    command += [str(renew_attention), *filter(None, [resume])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, cwd=SCRIPT.parents[2], check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((out / f"seen-{rank}.json").read_text()) for rank in range(processes)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("follow") / "whole"


@pytest.fixture(scope="module")
def whole(folder: Path) -> dict[str, Any]:
    """Six steps of four prompts, not interrupted."""
    return train(folder, 6)[0]


def test_rows_are_chosen_by_the_trainers_own_groups_and_nothing_else_is_sampled(whole: dict[str, Any]) -> None:
    assert len(whole["rows"]) == 6
    for rows in whole["rows"]:
        assert len(rows) == 16
        assert len(set(rows)) == 4
        assert rows == [row for row in rows[::4] for _ in range(4)]
    asked = [row for rows in whole["rows"] for row in rows[::4]]
    assert len(set(asked)) > 12
    assert [entry["step"] for entry in whole["log"]] == [1, 2, 3, 4, 5, 6]
    assert all(0 <= entry["rap/follow/informative"] <= 1 for entry in whole["log"])
    assert whole["log"][-1]["rap/follow/rollouts"] == 16
    assert sum(whole["right"]) > 0
    assert whole["blind"] == []
    assert not any("rap/follow/blind_rollouts" in entry for entry in whole["log"])


def test_a_resumed_training_reads_the_rows_that_an_undisturbed_one_reads(
    whole: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    # What a training that was killed after three steps leaves behind.
    shutil.copytree(folder / "checkpoint-3", tmp_path / "out" / "checkpoint-3")
    resumed = train(tmp_path / "out", 6, str(tmp_path / "out" / "checkpoint-3"))[0]
    # The rows of the next two batches follow from rewards that the checkpoint holds.
    assert [sorted(rows) for rows in resumed["rows"][:2]] == [sorted(rows) for rows in whole["rows"][3:5]]
    assert len(resumed["rows"]) == 3


def test_two_processes_follow_as_one_and_ask_some_rows_of_each_batch_without_their_image(tmp_path: Path) -> None:
    questions = [prompt[0]["content"] for prompt in make_dataset()["prompt"]]
    one, other = train(tmp_path / "out", 4, processes=2, renew=0.25, renew_attention=0.25)
    assert one["right"] == other["right"]
    for mine, theirs in zip(one["rows"], other["rows"], strict=True):
        assert len(mine) == len(theirs) == 8
        assert len(set(mine + theirs)) == 4
    for step, (mine, theirs) in enumerate(zip(one["blind"], other["blind"], strict=True)):
        assert len(mine) == len(theirs) == 2
        assert set(mine + theirs) == {questions[row] for row in one["rows"][step] + other["rows"][step]}
    assert one["log"][-1]["rap/follow/rollouts"] == 16
    assert [entry["rap/follow/blind_rollouts"] for entry in one["log"]] == [4] * 4
    assert one["blind_asked"] == other["blind_asked"]
    assert 4 < sum(one["blind_asked"]) < 16, "older ones have faded"
    # Four of the sixteen responses, each measured by the process that has it; one of the untrained model may be too short for psi.
    measured = [entry["rap/follow/attention_measured"] for entry in one["log"]]
    assert max(measured) == 4
    assert sum(measured) >= 12
    assert one["measured"] == other["measured"]
    assert 4 < sum(one["measured"]) < 16, "older ones have faded"


@pytest.mark.skipif(not os.environ.get("RAP_CLUSTER_TESTS"), reason="DeepSpeed compiles for minutes: make cluster")
@pytest.mark.parametrize("stage", [2, 3])
def test_two_processes_of_deepspeed_follow_as_one(stage: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLLOW_ZERO", str(stage))
    # Stage 3 shares the weights out, so that no process can read the model by itself.
    one, other = train(tmp_path / "out", 2, processes=2, renew=0.25, renew_attention=0.25 if stage == 2 else 0)
    assert one["measured"] == other["measured"]
    assert one["right"] == other["right"]
    assert one["blind_asked"] == other["blind_asked"]
    assert [len(asked) for asked in one["blind"] + other["blind"]] == [2] * 4
    assert [len(set(mine + theirs)) for mine, theirs in zip(one["rows"], other["rows"], strict=True)] == [4, 4]


def arguments(tmp_path: Path, **changed: Any) -> Any:
    common = {"use_cpu": True, "bf16": False, "report_to": "none", "num_generations": 4, "max_steps": 4}
    return trl.GRPOConfig(str(tmp_path), **{**common, "per_device_train_batch_size": 16, **changed})


@pytest.mark.parametrize(
    ("changed", "options", "said"),
    [
        ({"max_steps": -1}, {}, "max_steps"),
        ({"dataloader_num_workers": 2}, {}, "dataloader_num_workers=0"),
        ({}, {"groups": "kind"}, "no such column"),
        ({}, {"groups": [1, 2]}, "2 labels for 40 rows"),
        ({}, {"run": "missing"}, "no finished run"),
        ({}, {"half_life": 0}, "half_life=0"),
        ({}, {"renew_attention": 2}, "renew_attention=2"),
        ({}, {"attention_weight": 0.5}, "weighs nothing"),
        ({}, {"ace": {"windows": 5}}, "'windows': ..} is no option of psi"),
        ({}, {"ace": {"window": 7}}, "window"),
        ({}, {"ace": {"lambda_a": "auto"}}, "needs a number"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_one_line(
    changed: dict[str, Any], options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(RapError, match=said):
        follow(make_dataset(), args=arguments(tmp_path, **changed), **options)


def test_every_option_reaches_what_draws_the_rows(tmp_path: Path) -> None:
    numbers = {"half_life": 30, "strength": 3, "explore": 0.2, "image_weight": 0.4, "headroom": 2, "renew": 0.1}
    numbers |= {"renew_attention": 0.2, "attention_weight": 0.3, "seed": 7}
    followed = follow(make_dataset(), args=arguments(tmp_path), **numbers)
    assert followed.follower.options == FollowOptions(4, **numbers)


@pytest.mark.parametrize(("accumulated", "per_generation", "lag"), [(1, 1, 2), (4, 4, 2), (4, 1, 5), (2, 8, 1)])
def test_the_lag_is_how_far_the_trainer_reads_ahead(
    accumulated: int, per_generation: int, lag: int, tmp_path: Path
) -> None:
    args = arguments(tmp_path, gradient_accumulation_steps=accumulated, steps_per_generation=per_generation)
    assert follow(make_dataset(), args=args).follower.lag == lag


def test_a_trainer_without_a_watched_reward_is_refused(make_trainer: Callable[..., Any], tmp_path: Path) -> None:
    followed = follow(make_dataset(), args=arguments(tmp_path))
    with pytest.raises(RapError, match="no reward is watched"):
        followed.attach(make_trainer(followed.dataset, max_steps=4))
    assert followed.watch(accuracy_reward).__name__ == "accuracy_reward"


LAMBDA_A = 0.0175
"""Between the psi of one response of the embedded model and that of another."""


def test_psi_of_the_trainers_own_responses_is_that_of_the_engine_and_nothing_more_is_sampled(
    make_trainer: Callable[..., Any], model: Any, model_dir: str, tmp_path: Path
) -> None:
    dataset, responses, generated = make_dataset(), {}, []
    ace = {"window": 5, "lambda_a": LAMBDA_A}
    followed = follow(dataset, args=arguments(tmp_path), renew_attention=0.5, ace=ace)

    def correct(completion_ids: Any, rap_row: list[int], **columns: Any) -> list[float | None]:
        for row, ids in zip(rap_row, completion_ids, strict=True):
            responses.setdefault(row, []).append(ids)
        return accuracy_reward(completion_ids=completion_ids, **columns)

    trainer = make_trainer(followed.dataset, reward=followed.watch(correct), max_steps=1)
    followed.attach(trainer)
    generate = model.generate
    model.generate = lambda *given, **options: generated.append(1) or generate(*given, **options)
    trainer.train()

    logged = trainer.state.log_history[0]
    assert logged["rap/follow/attention_measured"] == 8, "half of sixteen"
    assert len(generated) == 1, "the trainer's own call"
    assert model.training, "the model is as it was"
    engine = open_hf(ModelConfig(id=model_dir))
    prompts = read_prompts(dataset)
    prompts.rows = {str(row): row for row in range(len(dataset))}
    engine.prepare_prompt = prompts.prepare
    beliefs = followed.follower.beliefs(1)
    assert beliefs.measured[list(responses)].tolist() == [2] * 4
    given = [(Prompt(str(row), "image", ""), of_row[:2]) for row, of_row in responses.items()]
    biased = [
        sum(one.statistics["psi_window_max_5"] > math.log(LAMBDA_A) for one in of_row)
        for of_row in engine.attention(given, Sampling())
    ]
    assert beliefs.biased[list(responses)].tolist() == biased
    assert logged["rap/follow/attention_biased"] == sum(biased) / 8
    assert 0 < sum(biased) < 8


def test_attention_is_not_measured_where_no_process_has_the_whole_model(
    make_trainer: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = follow(make_dataset(), args=arguments(tmp_path), renew_attention=0.2)
    trainer = make_trainer(followed.dataset, reward=followed.watch(accuracy_reward), max_steps=4)
    monkeypatch.setattr(trainer, "is_fsdp_enabled", True)
    with pytest.raises(RapError, match="FSDP shares its weights out; set renew_attention=0"):
        followed.attach(trainer)
    monkeypatch.setattr(trainer, "is_fsdp_enabled", False)
    plugin = SimpleNamespace(zero_stage=3)
    monkeypatch.setattr(trainer, "accelerator", SimpleNamespace(state=SimpleNamespace(deepspeed_plugin=plugin)))
    with pytest.raises(RapError, match="stage 3 shares its weights out; set renew_attention=0"):
        followed.attach(trainer)


def test_rloo_follows_with_both_budgets(make_trainer: Callable[..., Any], tmp_path: Path) -> None:
    followed = follow(make_dataset(), args=arguments(tmp_path), renew=0.25, renew_attention=0.25)
    trainer = make_trainer(
        followed.dataset, "RLOO", followed.watch(accuracy_reward), max_steps=1, max_completion_length=8
    )
    followed.attach(trainer)
    trainer.train()
    log = [entry for entry in trainer.state.log_history if "rap/follow/rollouts" in entry]
    assert [(entry["rap/follow/blind_rollouts"], entry["rap/follow/attention_measured"]) for entry in log] == [(4, 4)]
