"""`RapReplayBuffer` in verl's real default trainer, with its real store of rollouts; only the model is drawn."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("verl", reason="verl is not installed")
pytest.importorskip("transfer_queue", reason="verl's default trainer needs TransferQueue")

import transfer_queue as queue

from rap_plugin.errors import RapError
from rap_plugin.verl_hooks.rows import read_chosen
from tests.event_files import history_of, scalars_of

from .conftest import Prepared

pytestmark = pytest.mark.slow

BUFFER = [
    "trainer.v1.sampler.custom_sampler.path=pkg://rap_plugin.verl_hooks",
    "trainer.v1.sampler.custom_sampler.name=RapReplayBuffer",
    "+data.rap.reweight=True",
]
N = 4


@pytest.fixture(scope="module")
def store() -> Iterator[None]:
    """verl's TransferQueue on a small Ray."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray
    from omegaconf import OmegaConf

    ray.shutdown()  # another room's tests may have left theirs up until the session ends
    ray.init(num_cpus=4, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    queue.init(OmegaConf.create({"backend": {"SimpleStorage": {"num_data_storage_units": 1}}}))
    yield
    queue.close()
    ray.shutdown()


class DrawnModel:
    """verl's contract for agent loop managers, with drawn rollouts: a row is solved as often as `chance` says."""

    def __init__(self, chance: Callable[[str], float]) -> None:
        self.chance = chance
        self.draws = np.random.default_rng(0)
        self.right: dict[str, list[int]] = {}

    def generate_sequences(self, batch: Any) -> None:
        import torch
        from verl.utils.tensordict_utils import list_of_dict_to_tensordict

        blind = batch["rap_blind"] if "rap_blind" in batch else [0] * len(batch["uid"])
        for uid, identity, wanted in zip(batch["uid"], batch["rap_id"], blind, strict=True):
            keys, fields = [], []
            for session in range(N):
                right = float(self.draws.random() < self.chance(identity))
                self.right.setdefault(identity, []).append(int(right))
                for part in range(2):  # agents put several parts a session
                    scores = torch.zeros(3 + session)
                    scores[-1] = 0.9 * right + 0.1
                    info = {"acc": right, "format": 1.0, "graded": 1.0}
                    keys.append(f"{uid}_{session}_{part}")
                    without = [{"score": 0.1, "acc": 0.0}] * (0 if session else int(wanted))
                    extra = {"reward_extra_info": info, "rap_blind": without}
                    fields.append({"rm_scores": scores, "rap_id": identity, "extra_fields": extra})
            tags = [{"status": "success", "global_steps": 1}] * len(keys)
            queue.kv_batch_put(keys=keys, fields=list_of_dict_to_tensordict(fields), tags=tags, partition_id="train")
            queue.kv_batch_put(
                keys=[uid],
                tags=[{"is_prompt": True, "status": "finished", "global_steps": 1}],
                partition_id="train",
            )


@pytest.fixture
def make_trainer(verl_config: Callable[..., Any], store: None) -> Callable[..., Any]:
    """verl's default trainer without its GPU workers."""

    def make(*overrides: str, chance: Callable[[str], float] = lambda identity: 0.5) -> Any:
        from verl.trainer.ppo.v1 import get_trainer_cls

        config = verl_config(*overrides)
        trainer = get_trainer_cls(config.trainer.v1.trainer_mode)(config=config)
        trainer.tokenizer, trainer.processor = None, object()
        trainer._init_dataloader()
        trainer.global_steps = 1
        trainer.agent_loop_manager = DrawnModel(chance)
        return trainer

    return make


def step(trainer: Any) -> list[str]:
    """One step up to the update of the weights: prompts in, rollouts out; the ids that are trained on."""
    trainer._add_batch_to_generate()
    batch, _ = trainer.replay_buffer.sample(trainer.global_steps, "train", trainer.config.data.train_batch_size)
    ids = [str(value) for value in queue.kv_batch_get(batch.keys, "train", ["rap_id"])["rap_id"]]
    queue.kv_clear(keys=batch.keys, partition_id="train")
    trainer.global_steps += 1
    return ids[:: 2 * N]


def expected(run: Path, identity: str, results: list[int]) -> float:
    """The weight of a row after groups of N fresh rollouts, from the selection's counts on."""
    right, wrong = map(float, read_chosen(run).counts[identity])
    for start in range(0, len(results), N):
        fresh = sum(results[start : start + N])
        right, wrong = 0.5 * right + fresh, 0.5 * wrong + N - fresh
    a, b = right + 0.5, wrong + 0.5
    return 2 * a * b / ((a + b) * (a + b + 1))


def test_rollouts_that_are_trained_on_reach_the_curriculum(
    make_trainer: Callable[..., Any], prepared: Prepared
) -> None:
    trainer = make_trainer(*BUFFER)
    ids = step(trainer)
    assert len(set(ids)) == 4
    curriculum = trainer.train_dataset.curriculum
    results = trainer.agent_loop_manager.right
    assert set(results) == set(ids)
    for identity, weight in zip(curriculum.ids, curriculum.weights, strict=True):
        assert weight == pytest.approx(expected(prepared.run, identity, results.get(identity, [])))


def test_verls_own_trackers_get_the_selection_once_and_every_steps_informative_groups(
    make_trainer: Callable[..., Any],
    prepared: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    offline_wandb: None,
) -> None:
    from verl.trainer.ppo.v1.utils import MetricsAggregator
    from verl.utils.tracking import Tracking

    monkeypatch.setenv("TENSORBOARD_DIR", str(tmp_path / "tensorboard"))
    solved = set(prepared.ids[::2])
    trainer = make_trainer(
        *BUFFER[:2], "data.shuffle=False", chance=lambda identity: 1.0 if identity in solved else 0.5
    )
    tracking = Tracking("rap", "test", ["tensorboard", "wandb"])
    shares = []
    for number in (1, 2):
        trainer._add_batch_to_generate()
        batch, metrics = trainer.replay_buffer.sample(trainer.global_steps, "train", 4)
        aggregator = MetricsAggregator()
        aggregator.add_step_metrics(metrics, sample_count=len(batch.keys))
        tracking.log(data=aggregator.get_aggregated_metrics(), step=number)
        ids = prepared.ids[4 * number - 4 : 4 * number]
        drawn = [trainer.agent_loop_manager.right[identity] for identity in ids]
        shares.append(sum(0 < sum(results) < N for results in drawn) / 4)
        queue.kv_clear(keys=batch.keys, partition_id="train")
        trainer.global_steps += 1
    tracking.finish()
    found, (first, second) = scalars_of(tmp_path / "tensorboard"), history_of(tmp_path)
    assert found["rap/informative_groups"] == [(1, shares[0]), (2, shares[1])]
    assert max(shares) <= 0.5, "half of the rows are always solved"
    assert found["rap/selected"] == [(1, float(len(prepared.ids)))]
    assert 0 < found["rap/stability"][0][1] <= 1
    assert sum(value for name in found if "/verdict/" in name for _, value in found[name]) == pytest.approx(1)
    assert first["rap/selected"] == len(prepared.ids)
    assert "rap/selected" not in second
    assert [row["rap/informative_groups"] for row in (first, second)] == shares


def test_following_learns_of_both_arms_and_logs_each_step(make_trainer: Callable[..., Any]) -> None:
    from rap_plugin.hosts.follower import Follower
    from rap_plugin.posterior.following import FollowOptions, begin

    renewing = ["+data.rap.follow=True", "+data.rap.responses=4", "+data.rap.renew=0.25"]
    with pytest.raises(RapError, match=r"default_agent_loop=rap_follow and \.agent_loop_config_path="):
        make_trainer(*BUFFER[:2], *renewing)
    trainer = make_trainer(
        *BUFFER[:2], *renewing, "actor_rollout_ref.rollout.agent.default_agent_loop=rap_follow", chance=lambda _: 1.0
    )
    before = trainer.train_dataset.curriculum.beliefs
    for number in range(2):
        trainer._add_batch_to_generate()
        batch, metrics = trainer.replay_buffer.sample(trainer.global_steps, "train", 4)
        queue.kv_clear(keys=batch.keys, partition_id="train")
        trainer.global_steps += 1
        logged = {name: value for name, value in metrics.items() if name.startswith("rap/follow/")}
        other_hosts = Follower(begin([0] * 9), FollowOptions(4, renew=0.25), 4).tell({0: [1.0]}, {})
        assert logged.keys() == other_hosts.keys(), "one set of names in every host"
        assert (logged["rap/follow/informative"], logged["rap/follow/rollouts"]) == (0, 16)
        assert logged["rap/follow/blind_rollouts"] == 4
        assert logged["rap/follow/seen"] == 4 * number
    after = trainer.train_dataset.curriculum.beliefs
    assert (after.blind_asked > before.blind_asked).any()
    assert after.right.sum() > before.right.sum()


def test_groups_that_verls_filter_throws_out_are_learned_too(
    make_trainer: Callable[..., Any], prepared: Prepared
) -> None:
    solved = set(prepared.ids[::2])
    trainer = make_trainer(
        *BUFFER,
        "algorithm.filter_groups.enable=True",
        "algorithm.filter_groups.metric=reward",
        chance=lambda identity: 1.0 if identity in solved else 0.5,
    )
    trained = [identity for _ in range(4) for identity in step(trainer)]
    assert trained
    assert not solved & set(trained), "verl's own filter still works"
    curriculum, results = trainer.train_dataset.curriculum, trainer.agent_loop_manager.right
    weights = dict(zip(curriculum.ids, curriculum.weights.tolist(), strict=True))
    met = solved & set(results)
    assert met
    for identity in met:
        assert weights[identity] == pytest.approx(expected(prepared.run, identity, results[identity]))


def test_a_checkpoint_goes_on_with_the_same_batches(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(*BUFFER)
    for _ in range(3):
        step(trainer)
    saved = pickle.dumps(
        trainer.train_dataloader.state_dict()
    )  # where verl saves: after sampling, before the next fetch
    wanted = [list(trainer._next_train_batch()["rap_id"]) for _ in range(6)]
    again = make_trainer(*BUFFER)
    again.train_dataloader.load_state_dict(pickle.loads(saved))
    assert [list(again._next_train_batch()["rap_id"]) for _ in range(6)] == wanted


@pytest.mark.parametrize("mode", ["sync", "colocate_async"])
def test_the_buffer_is_the_one_that_verl_builds_for_the_mode(make_trainer: Callable[..., Any], mode: str) -> None:
    flags = [f"trainer.v1.trainer_mode={mode}", "trainer.v1.sampler.max_off_policy_threshold=2"]
    plain, watched = make_trainer(*flags).replay_buffer, make_trainer(*flags, *BUFFER).replay_buffer
    assert type(watched) is type(plain)
    shown = {
        name: value for name, value in vars(plain).items() if isinstance(value, (int, float, str, bool, type(None)))
    }
    assert {name: getattr(watched, name) for name in shown} == shown


def test_without_reweighting_the_buffer_only_watches(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(*BUFFER[:2])
    assert len(step(trainer)) == 4
    assert trainer.train_dataset.curriculum is None


def test_a_colocated_reward_model_is_one_clear_line(make_trainer: Callable[..., Any]) -> None:
    with pytest.raises(
        RapError, match=r"rewards after sampling, too late to count its rollouts; add reward.*enable_resource_pool=True"
    ):
        make_trainer(*BUFFER, "reward.reward_model.enable=True")


def test_an_export_with_all_its_columns_goes_through_verls_default_trainer(
    make_trainer: Callable[..., Any], prepared: Prepared, tmp_path: Path
) -> None:
    from rap_plugin.exports import export_run

    path = export_run(prepared.run, "verl", tmp_path / "export").path
    trainer = make_trainer(*BUFFER, f"data.train_files={path}")
    ids = step(trainer)
    assert set(ids) <= set(prepared.ids)
    assert trainer.train_dataset.curriculum.learned
