"""What the builders share: their register, a decoder, encoders and marks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

BUILDERS: dict[str, Callable[..., Any]] = {}
"""`builder(make_tokenizer, layers) -> (model, processor, what stands for an image in the chat template)`, by family."""

SIDE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
SIGLIP = {"model_type": "siglip_vision_model", **SIDE, "image_size": 28, "patch_size": 7, "vision_use_head": False}
SQUARE = {"height": 28, "width": 28}
ROTARY = {"rope_type": "default", "mrope_section": [4, 2, 2], "rope_theta": 10000.0}


def family(builder):
    BUILDERS[builder.__name__] = builder
    return builder


def text(tokenizer, layers, **extra):
    """A Llama-like decoder of 4 heads of 16, two of them for keys."""
    return {
        "model_type": "llama",
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 8192,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        **extra,
    }


def ids(tokenizer, **names):
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}


VISION_MARK = "<|vision_start|><|image_pad|><|vision_end|>"
VISION_IDS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}
QWEN_IMAGES = {"min_pixels": 28 * 28, "max_pixels": 28 * 28 * 12}
QWEN3_IMAGES = {"patch_size": 16, "size": {"shortest_edge": 32 * 32, "longest_edge": 32 * 32 * 12}}
QWEN_VISION = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64}
QWEN3_VISION = {**QWEN_VISION, "patch_size": 16, "num_position_embeddings": 64}
MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "decoder_sparse_step": 1}
LINEAR = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
}
