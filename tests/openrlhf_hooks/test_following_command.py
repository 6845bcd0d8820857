"""The exact command with `--rap.follow`, killed in its second episode and started again: real vLLM rollouts on a CPU.

OpenRLHF, Ray and vLLM as installed; only what needs CUDA, the weights, is left out (`following_trainer.py`). Too slow for every day:
`make cluster` runs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")
pytest.importorskip("vllm", reason="vLLM is not installed")

from rap_plugin.hosts.follower import Follower, beliefs_of_run
from rap_plugin.posterior.attention import AttentionTest
from rap_plugin.posterior.following import ATTENTION, BLIND, IMAGE, FollowOptions, begin, with_evidence

from .command import arguments
from .test_command import cluster, world  # noqa: F401  # fixtures: a Ray of this module alone, a pool of handwritten digits

pytestmark = pytest.mark.skipif(not os.environ.get("RAP_CLUSTER_TESTS"), reason="minutes a launch: make cluster")

ROOT = str(Path(__file__).resolve().parents[2])
SIZE, RESPONSES, EPISODES, KILLED_AT, RENEW = 8, 4, 2, 4, 0.1

WITHOUT_WEIGHTS = """
import openrlhf.trainer.ray.launcher as launcher

from rap_plugin.openrlhf_hooks import trainer
from tests.openrlhf_hooks.following_trainer import CpuTrainer

trainer.RapTrainer = CpuTrainer
launcher.RayActorGroup.async_init_model_from_pretrained = lambda *arguments, **options: []
launcher.RayActorGroup.async_save_model = lambda *arguments, **options: []
"""


@pytest.fixture(scope="module", autouse=True)
def ray_finds_the_tests():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", ROOT)
        yield


def launch(cluster, world, model):  # noqa: F811
    (world / "weights.py").write_text(WITHOUT_WEIGHTS)
    reward = ["--reward.remote_url", str(world / "reward.py")]
    more = ["--train.num_episodes", str(EPISODES), "--ckpt.path", str(world / "ckpt"), "--ckpt.load_enable"]
    flags = ["--data_filter", "rap", "--rap.rollouts", "3", "--rap.batch_size", "6", "--rap.lambda_c", "0.3"]
    follow = [
        "--rap.follow",
        "--rap.follow_renew",
        str(RENEW),
        "--rap.follow_renew_attention",
        str(RENEW),
        "--rap.follow_attention_weight",
        "0.5",
        "--rap.run_dir",
        str(world / "run"),
        "--rap.plugin",
        str(world / "weights.py"),
    ]
    argv = [*arguments(model, world / "train.jsonl", *reward, *more), *flags, *follow]
    environment = {**os.environ, "RAY_ADDRESS": cluster.address, "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "openrlhf.cli.train_ppo_ray", *argv],
        env=environment,
        cwd=world,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1200,
    )


def one_by_one(counts):
    """1 for each that counts and 0 for the others, by row."""
    return {row: [1.0] * int(good) + [0.0] * int(of_all - good) for row, (good, of_all) in counts.items()}


def test_rows_follow_the_posterior_through_two_episodes_and_a_kill(cluster, world, tiny_model):  # noqa: F811
    folder = world / "ckpt"
    folder.mkdir()
    (folder / "kill_at").write_text(str(KILLED_AT))
    (folder / "really").touch()
    killed = launch(cluster, world, tiny_model)
    assert (folder / "steps.jsonl").exists(), killed.stdout[-3000:]
    assert killed.returncode != 0
    lines = (folder / "steps.jsonl").read_text().splitlines()
    assert len(lines) == KILLED_AT, killed.stdout[-3000:]
    again = launch(cluster, world, tiny_model)
    assert again.returncode == 0, again.stdout[-3000:]
    assert "0 rollouts sampled now" in again.stdout

    steps = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    numbers = [json.loads(line)["source_row"] for line in (world / "train.jsonl").read_text().splitlines()]
    known = beliefs_of_run(world / "run", [0] * len(numbers), AttentionTest())
    assert known.measured.any(), "the selection before it measured attention too"
    usable = np.flatnonzero(known.asked + known.blind_asked)
    image, blind_arm, attention = (
        tuple(getattr(known, name)[usable] for name in names) for names in (IMAGE, BLIND, ATTENTION)
    )
    beliefs = with_evidence(begin([0] * len(usable)), range(len(usable)), image, blind_arm, attention)
    options = FollowOptions(RESPONSES, seed=42, renew=RENEW, renew_attention=RENEW, attention_weight=0.5)
    follower = Follower(beliefs, options, SIZE)
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    batches = []
    for number, step in enumerate(steps):
        rewards: dict[int, list[float]] = {}
        for row, score in step:
            rewards.setdefault(row, []).append(float(score >= 0.5))
        assert all(len(scores) == RESPONSES for scores in rewards.values())
        left = len(usable) - sum(map(len, batches)) % len(usable)
        batches.append(rewards)
        assert sorted(rewards) == sorted(follower.rows_of(number)[:left]), number
        # Asked without their image, by the same engines: what came back is not in the steps that are trained on.
        asked = follower.renewals_of(number)
        blind = {int(row): counts for row, counts in metrics[number]["blind"].items()}
        assert sorted(asked) == sorted(row for row, (_, all_asked) in blind.items() for _ in range(int(all_asked)))
        # Some of the batch's own responses are read again, but for those that end at once.
        measured = {int(row): counts for row, counts in metrics[number]["attention"].items()}
        named = Counter(follower.measurements_of(number))
        assert all(0 < count <= named[row] for row, (_, count) in measured.items())
        follower.tell(rewards, one_by_one(blind), one_by_one(measured))
    assert sum(one["rap/follow/attention_measured"] for one in metrics) >= len(steps)
    assert sum(len(one["blind"]) > 0 for one in metrics) == len(steps)
    assert sum(map(len, batches)) == EPISODES * len(usable)
    half = len(batches) // 2
    first, second = ([row for rewards in part for row in rewards] for part in (batches[:half], batches[half:]))
    assert sorted(first) != sorted(second), "the second episode has other rows, some of them more often"
