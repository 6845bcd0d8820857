"""OpenRLHF's PPO command without its engines: its own parser and checks, run up to `train(args)`."""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
import sysconfig
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path


def source() -> Path:
    """The installed file of the command, found without running it."""
    return Path(next(iter(find_spec("openrlhf.cli").submodule_search_locations))) / "train_ppo_ray.py"


def run_command(argv, train=None):
    """Executes the block under `if __name__ == "__main__"` of the installed file; returns what `train` was given.

    Only the imports of engines and trainers are left out; `create_vllm_engines` is a function that must not be called.
    """
    tree = ast.parse(source().read_text())
    body = [node for node in tree.body if isinstance(node, ast.If)]
    assert len(body) == 1
    seen = []

    def forbidden(*args, **options):
        raise AssertionError("engines must not be started here")

    command = {
        "__name__": "__main__",
        "argparse": argparse,
        "os": os,
        "datetime": datetime,
        "train": train or seen.append,
        "create_vllm_engines": forbidden,
    }
    before = sys.argv
    sys.argv = [str(source()), *argv]
    try:
        exec(compile(ast.Module(body, []), str(source()), "exec"), command)
    finally:
        sys.argv = before
    return seen[0] if seen else None


def arguments(model, dataset, *more):
    """A small multimodal GRPO run."""
    return [
        *("--actor.model_name_or_path", str(model), "--data.prompt_dataset", str(dataset)),
        *("--data.input_key", "prompt", "--data.label_key", "label", "--data.image_key", "images"),
        *("--data.apply_chat_template", "--data.max_images_per_prompt", "1"),
        *("--vllm.num_engines", "1", "--vllm.enforce_eager", "--vllm.gpu_memory_utilization", "0.2"),
        *("--data.max_len", "256", "--rollout.max_new_tokens", "24", "--rollout.n_samples_per_prompt", "4"),
        *("--rollout.batch_size", "8", "--train.batch_size", "8", "--actor.num_gpus_per_node", "1"),
        *("--algo.advantage.estimator", "group_norm", "--algo.kl.init_coef", "0"),
        *more,
    ]


def environment_without_us(folder):
    """A virtual environment of links to everything that is installed here but this package; returns its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "rap_plugin" not in path.name:
            (site / path.name).symlink_to(path)
    return folder / "bin" / "python"
