"""Following in OpenRLHF's own loops: its `fit`, its samples generator, its loader's place; engines that answer by a rule."""

from __future__ import annotations

import json
import queue
import re
from collections import Counter
from dataclasses import replace

import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")

from rap_plugin.errors import RapError
from rap_plugin.hosts.follower import Follower
from rap_plugin.openrlhf_hooks.additions import Additions, Following
from rap_plugin.posterior.attention import AttentionTest
from rap_plugin.posterior.following import FollowOptions, begin

from .command import arguments, run_command

ROWS, SIZE, RESPONSES, EPISODES = 24, 8, 4, 3
OPTIONS = FollowOptions(RESPONSES, half_life=20.0, seed=42)
RENEWING = replace(OPTIONS, renew=0.1, renew_attention=0.1, attention_weight=0.5)


class Answers:
    """A rollout actor: row n is right in n % 5 of four responses, so a fifth is never and a fifth always right.

    Responses to every fourth row are attention-biased.
    """

    def __init__(self):
        self.measuring = False

    def rap_begin(self, processor, end_ids, measure):
        assert not self.measuring
        self.measuring = measure
        return ""

    def rap_end(self, measure):
        self.measuring = False

    def rap_attention(self, prompt, images, responses, max_length):
        assert self.measuring
        assert images
        assert responses == [[2, 3]], "what was said after the prompt"
        number = int(re.search(r"number (\d+)", prompt)[1])
        return [{"psi_window_max_10": 2.0 if number % 4 == 0 else -20.0}]

    def get_num_unfinished_requests(self):
        return 0

    def generate_responses(self, prompt, label, num_samples, images, **options):
        assert not self.measuring
        if not hasattr(prompt, "row"):  # the blind arm: right for every third row
            assert images is None
            assert num_samples == 1
            number = int(re.search(r"number (\d+)", prompt)[1])
            return [{"prompt": prompt, "reward": float(number % 3 == 0), "scores": float(number % 3 == 0)}]
        return [
            {
                "prompt": prompt,
                "label": label,
                "images": None,
                "mm_train_inputs": None,
                "reward": 0.9 * right + 0.1,
                "scores": right,
                "observation_tokens": [1, 2, 3],
                "action_ranges": [(1, 3)],
                "rollout_log_probs": None,
                "truncated": False,
            }
            for right in [float(number < prompt.row % 5) for number in range(num_samples)]
        ]


@pytest.fixture(scope="module")
def engines(ray_here):
    kind = ray_here.remote(Answers).options(num_cpus=0)
    return [kind.remote(), kind.remote()]


@pytest.fixture
def strategy_of(tiny_model, write_chat_pool, tmp_path):
    pool = write_chat_pool(ROWS)

    def made(*more):
        from openrlhf.utils import get_strategy

        flags = ["--train.num_episodes", str(EPISODES), "--ckpt.path", str(tmp_path), "--ckpt.load_enable"]
        return get_strategy(run_command(arguments(tiny_model, pool, *flags, *more)))

    return made


def sync_training(strategy, engines, additions):
    from .following_trainer import CpuTrainer

    model = strategy.args.actor.model_name_or_path
    made = CpuTrainer(additions, model, strategy, None, None, None, None, engines, max_len=256)
    made.fit()
    return made


def asynchronous_training(strategy, engines, additions):
    """The generator and the training actor of `PPOTrainerAsync` in turn, on the queues that it gives them."""
    from openrlhf.trainer.ppo_trainer_async import VLLMLock

    from rap_plugin.openrlhf_hooks.trainer import RapGenerator

    from .following_trainer import CpuTrainingActor

    strategy.args.ckpt.save_steps = strategy.args.eval.steps = float("inf")  # as `PPOTrainerAsync` reads -1
    model, rollouts, slots = strategy.args.actor.model_name_or_path, queue.Queue(), queue.Queue()
    lock = VLLMLock.remote()
    shared = {"vllm_lock": lock, "rollout_queue": rollouts, "rollout_slots": slots}
    for _ in range(100):
        slots.put(0)
    generator = RapGenerator(additions, pretrain=model, strategy=strategy, vllm_engines=engines, max_len=256, **shared)
    trainer = CpuTrainingActor(additions, model, strategy, None, None, None, None, engines, **shared)
    states = trainer.init_checkpoint_states()
    if states["global_step"]:
        generator.load_state_dict(states["data_loader_state_dict"])
    generator.fit(episode=states["episode"], total_consumed_prompts=states["total_consumed_prompts"])
    trainer.fit(global_step=states["global_step"])
    return generator


def steps_of(folder):
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]


def told(step):
    rewards = {}
    for row, score in step:
        rewards.setdefault(row, []).append(score)
    return rewards


def expected_rows(steps):
    """The rows of every batch as the posterior says, from the rewards that were written down and the engines' rules for blind arm and attention."""
    follower, found = Follower(begin([0] * ROWS), RENEWING, SIZE), []
    for number, step in enumerate(steps):
        found.append(sorted(follower.rows_of(number)))
        blind = {row: [float(row % 3 == 0)] for row in follower.renewals_of(number)}
        measured = Counter(follower.measurements_of(number))
        follower.tell(told(step), blind, {row: [float(row % 4 == 0)] * times for row, times in measured.items()})
    return found


@pytest.mark.parametrize("train", [sync_training, asynchronous_training])
def test_every_batch_asks_the_rows_that_the_rewards_before_it_say_and_a_killed_training_goes_on_with_them(
    train, strategy_of, engines, tmp_path
):
    additions = Additions(follow=Following(RENEWING, ROWS, test=AttentionTest()))
    whole = train(strategy_of(), engines, additions)
    assert whole.max_steps == ROWS * RESPONSES // 8 * EPISODES, "as OpenRLHF counts them"
    steps = steps_of(tmp_path)
    batches = [sorted(told(step)) for step in steps]
    assert len(batches) == EPISODES * ROWS // SIZE
    assert batches == expected_rows(steps)
    assert len({tuple(rows) for rows in batches}) == len(batches)
    # Rows that are never or always right are asked less often than the others, once they are known.
    later = [row for rows in batches[3:] for row in rows]
    assert sum(row % 5 in (0, 4) for row in later) / len(later) < 0.4
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [one["rap/follow/rollouts"] for one in metrics] == [SIZE * RESPONSES] * len(batches)
    assert [one["rap/follow/blind_rollouts"] for one in metrics] == [3, 3, 3, 3, 4, 3, 3, 3, 3]
    assert [one["rap/follow/attention_measured"] for one in metrics] == [3, 3, 3, 3, 4, 3, 3, 3, 3]

    for name in ("states.pt", "steps.jsonl"):
        (tmp_path / name).unlink()
    (tmp_path / "kill_at").write_text("4")
    with pytest.raises(InterruptedError):
        train(strategy_of(), engines, additions)
    train(strategy_of(), engines, additions)
    # Engines answer in an order of their own.
    assert list(map(told, steps_of(tmp_path))) == list(map(told, steps)), "the fourth step was in the second episode"


def test_groups_that_openrlhfs_filter_takes_away_teach_too(strategy_of, engines, tmp_path):
    filtering = ["--algo.dynamic_filtering_enable", "--algo.dynamic_filtering_range", "0", "1"]
    args = strategy_of(*filtering, "--reward.remote_url", "reward.py")
    trainer = sync_training(args, engines, Additions(follow=Following(OPTIONS, ROWS)))
    kept = {row for step in steps_of(tmp_path) for row, _ in step}
    assert all(row % 5 in (1, 2, 3) for row in kept)
    beliefs = trainer.prompts_dataloader.follower.beliefs(trainer.prompts_dataloader.follower.batches)
    thrown = [row for row in range(ROWS) if row % 5 in (0, 4) and beliefs.asked[row]]
    assert thrown
    assert all(beliefs.right[row] == (beliefs.asked[row] if row % 5 == 4 else 0) for row in thrown)


def test_a_checkpoint_of_another_training_is_refused_in_one_line(strategy_of, engines):
    trainer = sync_training(strategy_of(), engines, Additions(follow=Following(OPTIONS, ROWS)))
    loader = trainer.prompts_dataloader
    with pytest.raises(RapError, match="a training that did not follow"):
        loader.load_state_dict({"_sampler_iter_state": None})
    other = Follower(begin([0] * 7), OPTIONS, SIZE)
    with pytest.raises(RapError, match=r"--ckpt\.load_enable: followed 7 rows in batches of 8"):
        loader.load_state_dict({**loader.state_dict(), "rap_follow": other.dumps()})


def test_evaluations_and_responses_that_nobody_could_judge_teach_nothing(strategy_of, engines):
    from rap_plugin.openrlhf_hooks.reward import UNGRADED

    loader = sync_training(strategy_of(), engines, Additions(follow=Following(OPTIONS, ROWS))).prompts_dataloader
    before = loader.state_dict()
    marked = loader.dataset.prompts[0]
    loader.saw({"prompt": str(marked), "reward": 1.0, "scores": 1.0})
    loader.saw({"prompt": marked, "reward": 0.0, "scores": 0.0, "extra_logs": {UNGRADED: 1.0}})
    assert loader.state_dict() == before
