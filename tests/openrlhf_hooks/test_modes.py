"""The exact command in every mode, on a Ray of two nodes, each launch up to the trainer's number of steps; and as a Ray job.

Too slow for every day: `make cluster` runs it. Sleeping engines need a GPU: here vLLM's CPU build is told that it can sleep, and
what it does when it is asked to is nothing.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")
pytest.importorskip("vllm", reason="vLLM is not installed")

import pyarrow.parquet as pq

from tests.event_files import scalars_of

from .command import arguments
from .test_command import stored
from .two_nodes import run_job, two_nodes

pytestmark = pytest.mark.skipif(not os.environ.get("RAP_CLUSTER_TESTS"), reason="minutes a launch: make cluster")

ROWS, ROLLOUTS, BATCH = 8, 2, 4
JOBS = importlib.util.find_spec("aiohttp_cors") is not None

STOP_AT_TRAINER = """
import time
from pathlib import Path

import openrlhf.trainer.ray.launcher as launcher


def stop(self, strategy, pretrain, max_steps=None, *rest):
    args = strategy.args
    for _ in range(300):  # an asynchronous trainer logs in a process of its own
        if list(Path(args.logger.tensorboard_dir).rglob("events.*")):
            break
        time.sleep(0.5)
    print("MAX_STEPS", max_steps, "DATASET", args.data.prompt_dataset, flush=True)
    time.sleep(3)
    raise SystemExit(0)


launcher.RayActorGroup.async_init_model_from_pretrained = stop
"""

REWARD = """
import zlib


def reward_func(queries, prompts, labels, **options):
    right = "<|image_pad|>" in queries[0] and zlib.crc32(queries[0].encode()) % 8 < 5
    return {"rewards": 0.9 * right, "scores": float(right)}
"""

AGENT = """
import torch
from openrlhf.utils.agent import AgentInstanceBase, MultiTurnAgentExecutor


class Twice(AgentInstanceBase):
    def __init__(self, *args, **options):
        self.turn = 0

    async def reset(self, states, **options):
        return {"observation": states["observation"]}

    async def step(self, states, **options):
        self.turn += 1
        right = float("<|image_pad|>" in states["observation_text"] and len(states["action_text"]) % 2)
        feedback = "" if self.turn > 1 else "<|im_end|>\\n<|im_start|>user\\nSure?<|im_end|>\\n<|im_start|>assistant\\n"
        return {"rewards": torch.tensor(right), "scores": right, "environment_feedback": feedback, "done": self.turn > 1}


class AgentExecutor(MultiTurnAgentExecutor):
    def __init__(self):
        super().__init__(Twice)
"""

MAY_SLEEP = """
import importlib.util
import sys

NAME = "vllm.platforms.interface"


class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != NAME:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            module.Platform.is_sleep_mode_available = lambda self: True

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())
"""

MODES = {
    "two engines": ["--vllm.num_engines", "2"],
    "asynchronous": ["--vllm.num_engines", "2", "--train.async_enable"],
    "colocated": ["--vllm.num_engines", "2", "--train.colocate_all", "--actor.num_gpus_per_node", "2"],
    "asleep": [
        *("--vllm.num_engines", "2", "--train.colocate_all", "--actor.num_gpus_per_node", "2"),
        *("--vllm.enable_sleep", "--ds.enable_sleep"),
    ],
    "an agent": ["--train.agent_func_path", "agent.py"],
}


@pytest.fixture(scope="module")
def world(tmp_path_factory, tiny_model):
    """A working directory: pool, reward, agent, the file that ends the command."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("world")
    for number in range(ROWS):
        Image.new("RGB", (56, 56), (number * 53 % 256, 90, 90)).save(folder / f"{number}.png")
    # In a job every node has a copy of the working directory, and relative paths; else none has, and paths are absolute.
    for name, root in (("train.jsonl", f"{folder}/"), ("relative.jsonl", "")):
        rows = (
            {
                "prompt": [{"role": "user", "content": f"<image>What is number {number}?"}],
                "label": str(number),
                "images": [f"{root}{number}.png"],
            }
            for number in range(ROWS)
        )
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "stop.py").write_text(STOP_AT_TRAINER)
    (folder / "reward.py").write_text(REWARD)
    (folder / "agent.py").write_text(AGENT)
    return folder


@pytest.fixture(scope="module")
def start_cluster(tmp_path_factory):
    """`start_cluster(dashboard)`: two nodes with a logical GPU each, so that two engines are on two nodes."""
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(MAY_SLEEP)
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(site), before]))
    room = ["--num-cpus=5", "--num-gpus=1"]
    yield lambda dashboard: two_nodes(head=room, second=room, dashboard=dashboard)
    os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="module")
def cluster(start_cluster):
    with start_cluster(False) as found:
        yield found


def command(root, data, model, run, *more):
    argv = arguments(model, root / data, "--rollout.micro_batch_size", "1", "--train.micro_batch_size", "1")
    reward = [] if "--train.agent_func_path" in more else ["--reward.remote_url", str(root / "reward.py")]
    flags = ["--data_filter", "rap", "--rap.rollouts", str(ROLLOUTS), "--rap.batch_size", str(BATCH)]
    flags += ["--rap.run_dir", str(run), "--rap.lambda_c", "-0.9", "--rap.plugin", str(root / "stop.py")]
    logs = ["--logger.tensorboard_dir", str(run.parent / "logs"), "--logger.wandb.run_name", run.name]
    return ["python", "-m", "openrlhf.cli.train_ppo_ray", *argv, *reward, *flags, *logs, *more]


def check(run, text):
    """The trainer's steps are those of the selected rows, and its log has the selection."""
    rows = len(pq.read_table(run / "selected.parquet"))
    (line,) = [line for line in text.splitlines() if "MAX_STEPS" in line]
    _, steps, _, dataset = line[line.index("MAX_STEPS") :].split()
    assert int(steps) == rows * 4 // 8 > 0
    assert dataset == str(run / "train_rows")
    logged = scalars_of(run.parent / "logs" / run.name)
    assert logged["train/rap/selected"] == [(0, float(rows))]
    assert len(stored(run)) == 2 * ROLLOUTS * ROWS
    return rows, int(steps)


@pytest.mark.parametrize("mode", MODES)
def test_the_command_reaches_the_trainer_in_every_mode(cluster, world, tiny_model, tmp_path, mode):
    run = tmp_path / "run"
    more = [str(world / "agent.py") if word == "agent.py" else word for word in MODES[mode]]
    argv = command(world, "train.jsonl", tiny_model, run, *more)
    environment = {**os.environ, "RAY_ADDRESS": cluster.address, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, *argv[1:]],
        cwd=world,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    rows, steps = check(run, done.stdout)
    print(f"\n{mode}: {rows} rows, {steps} steps")


@pytest.mark.skipif(not JOBS, reason="ray job submit needs ray[default]")
def test_a_ray_job_is_stopped_submitted_again_from_a_changed_folder_and_goes_on(
    start_cluster, world, tiny_model, tmp_path
):
    with start_cluster(True) as cluster:
        drive_jobs(cluster, world, tiny_model, tmp_path / "run")


def drive_jobs(cluster, world, tiny_model, run):
    argv = command(Path(), "relative.jsonl", tiny_model, run, "--vllm.num_engines", "2")

    def submit(name, *options, stop_when=lambda: False):
        """Submits the working directory as it is."""
        variables = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.environ["PYTHONPATH"]}
        return run_job(cluster, name, world, [*argv, *options], variables, stop_when)

    status, text = submit("relative", "--rap.run_dir", "run")
    assert status == "FAILED", text[-4000:]
    assert "lies in Ray's copy of the job's working directory, which Ray deletes" in text
    status, text = submit("stopped", stop_when=lambda: len(stored(run)) >= BATCH)
    assert status == "STOPPED", text[-4000:]
    kept = stored(run)
    assert 0 < len(kept) < 2 * ROLLOUTS * ROWS
    (world / "note.txt").write_text("The folder has changed, so Ray unpacks it somewhere else.")
    status, text = submit("again")
    assert status == "SUCCEEDED", text[-4000:]
    assert kept <= stored(run)
    check(run, text)
