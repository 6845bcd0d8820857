"""Our trainer with the parts that need CUDA left out: no weights are trained, and a checkpoint is one file.

What is left is OpenRLHF's own: `fit`, the samples generator, the rollout engines, and where state is saved and loaded.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from rap_plugin.openrlhf_hooks.trainer import RapTrainer, RapTrainingActor


def _told(state, rows, counted, of_all):
    """Row -> (counted, all) of one kind, of the batch that was told last."""
    told = json.loads(pq.read_schema(pa.BufferReader(state)).metadata[b"rap_follow"])["told"][-1]
    return dict(zip(told[rows], zip(told[counted], told[of_all], strict=True), strict=True))


class _NoWeights:
    def init_checkpoint_states(self):
        file = Path(self.args.ckpt.path) / "states.pt"
        if self.args.ckpt.load_enable and file.exists():
            return torch.load(file, weights_only=False)
        return {"episode": 0, "global_step": 0, "total_consumed_prompts": 0, "data_loader_state_dict": {}}

    def train_step(self, rollout_samples, global_step):
        line = [[one.prompts[0].row, float(one.scores[0])] for one in rollout_samples]
        with (Path(self.args.ckpt.path) / "steps.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        return {}, global_step + 1

    def broadcast_to_vllm(self):
        pass

    def save_logs_and_checkpoints(self, global_step, logs_dict=None, client_states=None):
        super().save_logs_and_checkpoints(global_step, logs_dict, None)
        folder = Path(self.args.ckpt.path)
        torch.save({**client_states, "global_step": global_step}, folder / "draft.pt")
        (folder / "draft.pt").replace(folder / "states.pt")
        with (folder / "metrics.jsonl").open("a") as file:
            state = client_states["data_loader_state_dict"]
            blind = _told(state["rap_follow"], "blind_rows", "blind_right", "blind_asked")
            attention = _told(state["rap_follow"], "measured_rows", "biased", "measured")
            file.write(json.dumps({**state["metrics"], "blind": blind, "attention": attention}) + "\n")
        killed = folder / "kill_at"
        if killed.exists() and int(killed.read_text()) == global_step:
            killed.unlink()
            if os.environ.get("RAY_JOB_ID") or (folder / "really").exists():
                os.kill(os.getpid(), signal.SIGKILL)
            raise InterruptedError("killed")


class CpuTrainer(_NoWeights, RapTrainer):
    """`PPOTrainer`."""


class CpuTrainingActor(_NoWeights, RapTrainingActor):
    """`TrainingActor`."""
