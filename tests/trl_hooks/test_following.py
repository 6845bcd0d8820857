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

import datasets
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
        ({}, {"ace": [5]}, "give a mapping"),
        ({}, {"half_life": "100"}, "half_life='100'"),
        ({}, {"strength": math.inf}, "strength=inf"),
        ({}, {"seed": 2**70}, "63 bits"),
        ({}, {"seed": 1.5}, "63 bits"),
        ({}, {"right_at": math.nan}, "right_at=nan"),
        ({}, {"right_at": "0.5"}, "right_at='0.5'"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_one_line(
    changed: dict[str, Any], options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(RapError, match=said):
        follow(make_dataset(), args=arguments(tmp_path, **changed), **options)


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda rows: datasets.DatasetDict(train=rows), {}, "a DatasetDict; give one"),
        (lambda rows: rows.to_iterable_dataset(), {}, "a IterableDataset; give one"),
        (list, {}, "a list; give one"),
        (lambda rows: rows.select([]), {}, "no rows"),
        (lambda rows: rows.remove_columns("prompt"), {}, "no column prompt"),
        (lambda rows: rows.remove_columns("image"), {"renew": 0.1}, "no column images"),
        (lambda rows: rows.map(lambda _: {"prompt": "q"}), {"renew": 0.1}, "holds texts"),
    ],
)
def test_what_are_no_rows_to_follow_is_refused_in_one_line(
    change: Callable[[Any], Any], options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(RapError, match=said):
        follow(change(make_dataset()), args=arguments(tmp_path), **options)


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


def reads(followed: Any) -> Callable[..., list[float]]:
    """A reward beside the watched one that keeps which rows came."""
    followed.seen = []

    def seen(prompts: Any, rap_row: list[int], **columns: Any) -> list[float]:
        followed.seen.append(rap_row[::4])
        return [0.0] * len(prompts)

    return seen


SHORT = {"max_completion_length": 8, "save_strategy": "steps", "save_steps": 3}


@pytest.mark.parametrize(
    ("repeated", "steps"),
    [({"num_iterations": 2}, 6), ({"gradient_accumulation_steps": 2, "steps_per_generation": 4}, 6)],
)
def test_a_training_resumed_inside_a_batch_from_another_folder_reads_the_rows_that_an_undisturbed_one_reads(
    repeated: dict[str, int], steps: int, make_trainer: Callable[..., Any], tmp_path: Path
) -> None:
    changed = {**SHORT, **repeated, "max_steps": steps, "per_device_train_batch_size": 4}
    if "num_iterations" in repeated:
        changed["per_device_train_batch_size"] = 16

    def training(out: str, resume: Path | None = None) -> Any:
        followed = follow(make_dataset(), args=arguments(tmp_path, **changed))
        rows = reads(followed)
        trainer = make_trainer(
            followed.dataset,
            reward=followed.watch(lambda rap_row, **_: [row % 2 for row in rap_row]),
            output_dir=str(tmp_path / out),
            **changed,
        )
        trainer.reward_funcs[0] = rows
        followed.attach(trainer)
        trainer.train(resume_from_checkpoint=resume and str(resume))
        return followed

    whole = training("whole")
    assert whole.plan.inside(3), "a checkpoint between two halves of a batch"
    again = training("elsewhere", tmp_path / "whole" / "checkpoint-3")
    assert again.seen == whole.seen[whole.plan.told_after(3) - 1 :]
    assert again.follower.batches == whole.follower.batches


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"gradient_accumulation_steps": 2}, "make another training"),
        ({"max_steps": 5}, "make another training"),
        ({"num_generations": 8}, "make another training"),
        ({"remove_unused_columns": True}, "remove_unused_columns"),
    ],
)
def test_a_trainer_of_other_arguments_is_refused(
    changed: dict[str, Any], said: str, make_trainer: Callable[..., Any], tmp_path: Path
) -> None:
    followed = follow(make_dataset(), args=arguments(tmp_path))
    trainer = make_trainer(followed.dataset, reward=followed.watch(accuracy_reward), **{"max_steps": 4, **changed})
    with pytest.raises(RapError, match=said):
        followed.attach(trainer)


def test_one_reward_of_its_own_is_followed(make_trainer: Callable[..., Any], tmp_path: Path) -> None:
    followed, other = (follow(make_dataset(), args=arguments(tmp_path)) for _ in range(2))
    trainer = make_trainer(followed.dataset, reward=other.watch(accuracy_reward), max_steps=4)
    with pytest.raises(RapError, match="another follow"):
        followed.attach(trainer)
    trainer.reward_funcs = [followed.watch(accuracy_reward)] * 2
    with pytest.raises(RapError, match="2 rewards are watched"):
        followed.attach(trainer)
    trainer.reward_funcs, trainer.eval_dataset = trainer.reward_funcs[:1], followed.dataset
    with pytest.raises(RapError, match="eval_dataset"):
        followed.attach(trainer)


def test_a_training_that_was_not_attached_says_so(make_trainer: Callable[..., Any], tmp_path: Path) -> None:
    followed = follow(make_dataset(), args=arguments(tmp_path))
    trainer = make_trainer(followed.dataset, reward=followed.watch(accuracy_reward), max_steps=4)
    with pytest.raises(RapError, match=r"call followed\.attach"):
        trainer.train()


def test_a_checkpoint_of_other_rows_or_steps_is_refused(tmp_path: Path) -> None:
    followed = follow(make_dataset(), args=arguments(tmp_path))
    followed._trainer = SimpleNamespace(args=SimpleNamespace(ignore_data_skip=False, output_dir=str(tmp_path)))
    state = tmp_path / "checkpoint-2" / "rap_follow.parquet"
    state.parent.mkdir()
    followed.follower.save(state)
    with pytest.raises(RapError, match="0 batches in 2 steps, of which these arguments make 2"):
        followed.begin(2)
    rows = make_dataset()
    shuffled = follow(rows.select(range(39, -1, -1)), args=arguments(tmp_path), groups=[0] * 40)
    follow(rows, args=arguments(tmp_path), groups=[0] * 40).follower.save(state)
    shuffled._trainer = followed._trainer
    with pytest.raises(RapError, match="another pool"):
        shuffled.begin(2)
    followed._trainer.args.ignore_data_skip = True
    with pytest.raises(RapError, match="ignore_data_skip"):
        followed.begin(2)


def test_columns_of_the_data_sets_own_stay(tmp_path: Path) -> None:
    dataset = make_dataset().add_column("rap_row", list(range(100, 140)))
    followed = follow(dataset, args=arguments(tmp_path))
    read = followed.dataset[:4]
    numbers = [row - 100 for row in read["rap_row"]]
    assert read["answer"] == [dataset[row]["answer"] for row in numbers]
    assert follow(make_dataset(), args=arguments(tmp_path)).dataset[:4]["rap_row"] == numbers


def test_a_reward_may_name_what_trl_and_following_give_it_also_without_the_image(
    make_trainer: Callable[..., Any], tmp_path: Path
) -> None:
    asked: list[int] = []

    async def named(
        prompts: Any, rap_row: list[int], log_metric: Any, log_extra: Any, answer: Any, **columns: Any
    ) -> Any:
        log_metric("mine", 1.0)
        log_extra("rows", rap_row)
        asked.append(len(prompts))
        return [float(row % 2) for row in rap_row]

    followed = follow(make_dataset(), args=arguments(tmp_path), renew=0.25)
    trainer = make_trainer(followed.dataset, reward=followed.watch(named), max_steps=1, max_completion_length=8)
    followed.attach(trainer)
    trainer.train()
    assert asked == [16, 4]
    assert trainer.state.log_history[0]["mine"] == 1
    beliefs = followed.follower.beliefs(1)
    assert beliefs.right.tolist() == [count * (row % 2) for row, count in enumerate(beliefs.asked)]
    assert sum(beliefs.blind_asked) == 4
