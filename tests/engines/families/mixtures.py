"""Mixtures of experts with encoders of their own."""

from __future__ import annotations

from .parts import SIDE, VISION_MARK, family, ids, text


@family
def aria(make, layers):
    import transformers as t

    tokenizer = make(image_token="<image>")
    config = t.AriaConfig(
        text_config=text(tokenizer, layers, model_type="aria_text", moe_num_experts=4, moe_num_shared_experts=1),
        vision_config={
            "model_type": "idefics3_vision",
            **SIDE,
            "image_size": 490,
            "patch_size": 70,
        },
        projector_patch_to_query_dict={49: 4, 196: 4},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    images = t.AriaImageProcessor(max_image_size=490, min_image_size=28, split_image=False)
    processor = t.AriaProcessor(images, tokenizer, size_conversion={490: 4, 980: 4})
    return t.AriaForConditionalGeneration(config), processor, "<image>"


@family
def ernie4_5_vl_moe(make, layers):
    import transformers as t

    names = {
        "image_token": "<|image_pad|>", "image_start_token": "<|vision_start|>", "image_end_token": "<|vision_end|>",
        "video_token": "<|video_pad|>", "video_start_token": "<video>", "video_end_token": "</video>",
    }  # fmt: skip
    tokenizer = make(**names)
    config = t.Ernie4_5_VLMoeConfig(
        text_config={
            **text(tokenizer, layers, model_type="ernie4_5_vl_moe_text"), "moe_intermediate_size": [32, 32], "moe_k": 2,
            "moe_num_experts": 4, "moe_num_shared_experts": 1,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [3, 3, 2]},
        },
        vision_config={
            "depth": 2, "hidden_size": 32, "num_heads": 2, "patch_size": 14, "intermediate_size": 64,
        },
        **ids(tokenizer, **{f"{name}_id": token for name, token in names.items()}),
    )  # fmt: skip
    images = t.Ernie4_5_VLMoeImageProcessor(size={"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 12})
    videos = t.Ernie4_5_VLMoeVideoProcessor(draw_on_frames=False)
    processor = t.Ernie4_5_VLMoeProcessor(images, tokenizer, videos)
    return t.Ernie4_5_VLMoeForConditionalGeneration(config), processor, VISION_MARK


@family
def minimax_m3_vl(make, layers):
    """The images of a batch look at each other in its vision tower."""
    import transformers as t

    kind = t.MiniMaxM3VLProcessor
    names = (kind.IMAGE_TOKEN, kind.VIDEO_TOKEN, kind.VISION_START_TOKEN, kind.VISION_END_TOKEN)
    tokenizer = make(more=names)
    image, video = tokenizer.convert_tokens_to_ids([kind.IMAGE_TOKEN, kind.VIDEO_TOKEN])
    config = t.MiniMaxM3VLConfig(
        text_config=text(
            tokenizer, layers, model_type="minimax_m3_vl_text", num_local_experts=4, num_experts_per_tok=2,
            dense_intermediate_size=64, shared_intermediate_size=32, rotary_dim=8, index_n_heads=2, index_head_dim=16,
            index_block_size=8, index_topk_blocks=2,
        ),
        vision_config={**SIDE, "image_size": 56, "patch_size": 14},
        projector_hidden_size=32,
        image_token_index=image,
        video_token_index=video,
    )  # fmt: skip
    images = t.MiniMaxM3VLImageProcessor(size={"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 12})
    processor = kind(images, tokenizer, t.MiniMaxM3VLVideoProcessor())
    return t.MiniMaxM3SparseForConditionalGeneration(config), processor, kind.IMAGE_TOKEN
