"""Tiny random models as vLLM reads them."""

from __future__ import annotations

from pathlib import Path

from tests.engines.tiny_models import build


def build_for_vllm(family: str, folder: Path, **text) -> Path:
    """`tiny_models.build`, with heads of 32 (vLLM's CPU kernels), published tensor names, and responses that last.

    Queries are halved, so that weights are not all near 0 or 1 and bfloat16 is compared on ordinary ground.
    """
    from safetensors.torch import load_file, save_file
    from transformers import AutoTokenizer

    build(family, folder, size=128, heads=4, **text)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ends = [tokenizer.convert_tokens_to_ids(name) for name in ("<|im_end|>", "<|endoftext|>")]
    weights = {}
    for name, weight in load_file(folder / "model.safetensors").items():
        if "lm_head" in name:
            weight = weight * 0.5
            weight[ends] = 0.0
        if ".q_proj." in name:
            weight = weight * 0.5
        # Transformers 5 saves CLIP towers under names that vLLM 0.29 does not read.
        if "vision_tower." in name and "vision_model." not in name:
            name = name.replace("vision_tower.", "vision_tower.vision_model.")
        weights[name] = weight.contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
