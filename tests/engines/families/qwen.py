"""Alibaba's Qwen: images as runs of pad tokens, rotary positions of three axes."""

from __future__ import annotations

from .parts import (
    LINEAR,
    MOE,
    QWEN3_IMAGES,
    QWEN3_VISION,
    QWEN_IMAGES,
    ROTARY,
    VISION_IDS,
    VISION_MARK,
    family,
    ids,
    text,
)


@family
def qwen2_vl(make, layers):
    import transformers as t

    tokenizer = make()
    config = t.Qwen2VLConfig(
        text_config={
            **text(tokenizer, layers, model_type="qwen2_vl_text"),
            "rope_parameters": {**ROTARY, "type": "default"},
        },
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2},
        **ids(tokenizer, **VISION_IDS),
    )
    images = t.Qwen2VLImageProcessor(**QWEN_IMAGES)
    return (
        t.Qwen2VLForConditionalGeneration(config),
        t.Qwen2VLProcessor(images, tokenizer, t.Qwen2VLVideoProcessor()),
        VISION_MARK,
    )


def _qwen3(make, kind, text_config, vision=None, name=None):
    import transformers as t

    tokenizer = make()
    config = getattr(t, f"{kind}Config")(
        text_config={**text(tokenizer, 3), "rope_parameters": {**ROTARY, "mrope_interleaved": True}, **text_config},
        vision_config={**QWEN3_VISION, **(vision or {})},
        **ids(tokenizer, **VISION_IDS),
    )
    images = t.Qwen2VLImageProcessor(**QWEN3_IMAGES)
    model = getattr(t, name or f"{kind}ForConditionalGeneration")(config)
    return model, t.Qwen3VLProcessor(images, tokenizer, t.Qwen3VLVideoProcessor()), VISION_MARK


@family
def qwen3_vl_moe(make, layers):
    return _qwen3(make, "Qwen3VLMoe", {"model_type": "qwen3_vl_moe_text", **MOE}, {"deepstack_visual_indexes": [0, 1]})


@family
def qwen3_5(make, layers):
    return _qwen3(make, "Qwen3_5", {"model_type": "qwen3_5_text", **LINEAR})


@family
def qwen3_5_moe(make, layers):
    moe = {**MOE, "shared_expert_intermediate_size": 32}
    return _qwen3(make, "Qwen3_5Moe", {"model_type": "qwen3_5_moe_text", **LINEAR, **moe})
