"""DeepSeek's and Janus."""

from __future__ import annotations

from .parts import SIDE, SIGLIP, SQUARE, family, text


@family
def deepseek_vl(make, layers):
    import transformers as t

    tokenizer = make(image_token="<image>")
    config = t.DeepseekVLConfig(
        text_config=text(tokenizer, layers),
        vision_config=SIGLIP,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    images = t.DeepseekVLImageProcessor(size=SQUARE, min_size=7)
    processor = t.DeepseekVLProcessor(images, tokenizer, num_image_tokens=16)
    return t.DeepseekVLForConditionalGeneration(config), processor, "<image>"


@family
def janus(make, layers):
    import transformers as t

    tokenizer = make(image_token="<image>", boi_token="<img>", eoi_token="</img>")
    config = t.JanusConfig(
        text_config=text(tokenizer, layers),
        vision_config={
            **SIDE, "image_size": 28, "patch_size": 7, "projection_dim": 64, "num_image_tokens": 16, "depth": 1,
        },
        vq_config={
            "embed_dim": 8, "num_embeddings": 32, "latent_channels": 32, "base_channels": 32,
            "channel_multiplier": [1, 1], "num_res_blocks": 1, "num_patches": 16, "projection_dim": 64,
            "image_token_embed_dim": 64,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    images = t.JanusImageProcessor(size=SQUARE, min_size=7)
    processor = t.JanusProcessor(images, tokenizer, num_image_tokens=16)
    return t.JanusForConditionalGeneration(config), processor, "<image>"


@family
def deepseek_vl_hybrid(make, layers):
    import transformers as t

    tokenizer = make(image_token="<image>")
    config = t.DeepseekVLHybridConfig(
        text_config=text(tokenizer, layers),
        vision_config=SIGLIP,
        high_res_vision_config={
            "model_type": "sam_vision_model", "hidden_size": 32, "output_channels": 8, "num_hidden_layers": 2,
            "num_attention_heads": 2, "image_size": 64, "patch_size": 16, "mlp_dim": 64, "global_attn_indexes": [1],
            "window_size": 2,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    images = t.DeepseekVLHybridImageProcessor(size=SQUARE, min_size=7, high_res_size={"height": 64, "width": 64})
    processor = t.DeepseekVLHybridProcessor(images, tokenizer, num_image_tokens=16)
    return t.DeepseekVLHybridForConditionalGeneration(config), processor, "<image>"
