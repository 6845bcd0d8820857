"""The exact command: verl's own `main_ppo`, its Ray task and trainer, up to where it asks for GPUs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("verl", reason="verl is not installed")
pytest.importorskip("transfer_queue", reason="verl's default trainer needs TransferQueue")

from .conftest import Prepared
from .test_dataset import tiny_processor

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "verl" / "train.sh"
SMALL = [
    "trainer.device=cpu",
    "data.train_batch_size=4",
    "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    "actor_rollout_ref.rollout.tensor_model_parallel_size=1",
    "ray_kwargs.ray_init.num_cpus=16",
    "+ray_kwargs.ray_init.include_dashboard=False",
    "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
]


def launch(folder: Path, **settings: str) -> str:
    """Runs the launch script without any GPU; what it wrote."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    known = {"PATH": path, "GPUS": "1", "CUDA_VISIBLE_DEVICES": "", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    process = subprocess.Popen(
        ["bash", str(SCRIPT), *SMALL, f"+data.cache_dir={folder / 'cache'}"],
        cwd=folder,
        env={**os.environ, **known, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=400)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode != 0, "there is no GPU to train on"
    return output


def test_verls_trainer_starts_with_the_selected_rows_and_the_watched_buffer(
    prepared: Prepared, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    model = str(tiny_processor(tmp_path_factory).tokenizer.name_or_path)
    files = {"DATA": str(prepared.pool), "VALIDATION": str(prepared.validation), "MODEL": model}
    output = launch(tmp_path, RUN=str(prepared.run), REWEIGHT="1", **files)
    chosen = len(prepared.ids)
    assert f"rap: {chosen} of 120 rows are selected in {prepared.run}" in output
    assert f"train dataset size: {chosen}, val dataset size: 9" in output
    assert "ValueError: Total available GPUs 0 is less than total desired GPUs 1" in output
    assert "RapError" not in output
