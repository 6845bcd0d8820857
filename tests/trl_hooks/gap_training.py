"""What trainings of the modality gap need in tests: a few pairs, a random model, settings of a few seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rap_plugin.modality_gap import make_pool
from tests.engines.tiny_models import build

SMALL = (
    "training.prompts=4",
    "training.mini_batch=2",
    "training.rollouts=4",
    "training.max_response_tokens=6",
    "training.overlong_buffer=5",
    "training.sampling_rounds=1",
    "training.learning_rate=1e-3",
    "steps=2",
    "save_every=1",
)


def write_pairs(path: Path) -> Path:
    rows = [
        {
            "text": one.text_prompt,
            "image": one.image_prompt,
            "images": [{"bytes": png, "path": None}],
            "answer": one.answer,
        }
        for one in make_pool(8, seed=3, renderings=("plain",))
        for png in one.images.values()
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def build_model(path: Path) -> Path:
    """A random model whose responses end early or late, so that the penalty for long ones differs within a group."""
    import torch
    from transformers import AutoModelForImageTextToText

    folder = build("llava", path, layers=1)
    network = AutoModelForImageTextToText.from_pretrained(folder)
    with torch.no_grad():
        network.get_output_embeddings().weight[network.generation_config.eos_token_id[0]] *= 12
    network.save_pretrained(folder)
    return folder


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def differ(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return any(not one[name].equal(other[name]) for name in one)
