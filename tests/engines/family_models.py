"""Random models of many more families, one builder each, with the real processor of each.

They are as small as their configurations allow. `tiny_models` builds them beside its own four.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

BUILDERS: dict[str, Callable[..., Any]] = {}
"""`builder(make_tokenizer, layers) -> (model, processor, what stands for an image in the chat template)`, by family."""

SIDE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
SIGLIP = {"model_type": "siglip_vision_model", **SIDE, "image_size": 28, "patch_size": 7, "vision_use_head": False}
CLIP = {"model_type": "clip_vision_model", **SIDE, "image_size": 28, "patch_size": 7}
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


def _omni_tokenizer(make):
    return make(
        image_token="<|image_pad|>",
        video_token="<|video_pad|>",
        audio_token="<|AUDIO|>",
        vision_bos_token="<|vision_start|>",
        vision_eos_token="<|vision_end|>",
        audio_bos_token="<|audio_bos|>",
        audio_eos_token="<|audio_eos|>",
    )


@family
def qwen2_5_omni_thinker(make, layers):
    import transformers as t

    tokenizer = _omni_tokenizer(make)
    config = t.Qwen2_5OmniThinkerConfig(
        text_config={**text(tokenizer, layers, model_type="qwen2_5_omni_text"), "rope_parameters": ROTARY},
        vision_config={**QWEN_VISION, "patch_size": 14, "fullatt_block_indexes": [1], "window_size": 56},
        audio_config={
            "encoder_layers": 1,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "d_model": 32,
            "output_dim": 64,
        },
        **ids(
            tokenizer,
            image_token_index="<|image_pad|>",
            video_token_index="<|video_pad|>",
            audio_token_index="<|AUDIO|>",
            audio_start_token_id="<|audio_bos|>",
            audio_end_token_id="<|audio_eos|>",
        ),
    )
    config.vision_start_token_id, config.vision_end_token_id = tokenizer.convert_tokens_to_ids(
        ["<|vision_start|>", "<|vision_end|>"]
    )
    processor = t.Qwen2_5OmniProcessor(
        t.Qwen2VLImageProcessor(**QWEN_IMAGES), t.Qwen2VLVideoProcessor(), t.WhisperFeatureExtractor(), tokenizer
    )
    return t.Qwen2_5OmniThinkerForConditionalGeneration(config), processor, VISION_MARK


@family
def qwen3_omni_moe_thinker(make, layers):
    import transformers as t

    tokenizer = _omni_tokenizer(make)
    config = t.Qwen3OmniMoeThinkerConfig(
        text_config={
            **text(tokenizer, layers, model_type="qwen3_omni_moe_text", **MOE),
            "rope_parameters": {**ROTARY, "mrope_interleaved": True},
        },
        vision_config={**QWEN3_VISION, "deepstack_visual_indexes": [0, 1]},
        audio_config={
            "encoder_layers": 1,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "d_model": 32,
            "output_dim": 64,
            "downsample_hidden_size": 16,
        },
        **ids(
            tokenizer,
            image_token_id="<|image_pad|>",
            video_token_id="<|video_pad|>",
            audio_token_id="<|AUDIO|>",
            audio_start_token_id="<|audio_bos|>",
            vision_start_token_id="<|vision_start|>",
            vision_end_token_id="<|vision_end|>",
        ),
    )
    processor = t.Qwen3OmniMoeProcessor(
        t.Qwen2VLImageProcessor(**QWEN3_IMAGES), t.Qwen2VLVideoProcessor(), t.WhisperFeatureExtractor(), tokenizer
    )
    return t.Qwen3OmniMoeThinkerForConditionalGeneration(config), processor, VISION_MARK


@family
def lfm2_vl(make, layers):
    import transformers as t

    tokenizer = make(
        image_token="<image>",
        image_start_token="<|image_start|>",
        image_end_token="<|image_end|>",
        image_thumbnail_token="<|img_thumbnail|>",
    )
    config = t.Lfm2VlConfig(
        text_config=text(
            tokenizer,
            layers,
            model_type="lfm2",
            layer_types=["conv", "full_attention", "conv"],
            block_multiple_of=16,
            tie_word_embeddings=False,
        ),
        vision_config={"model_type": "siglip2_vision_model", **SIDE, "patch_size": 8, "num_patches": 64},
        projector_hidden_size=32,
        tie_word_embeddings=False,
        **ids(tokenizer, image_token_id="<image>"),
    )
    images = t.Lfm2VlImageProcessor(
        encoder_patch_size=8,
        tile_size=32,
        min_image_tokens=2,
        max_image_tokens=8,
        max_num_patches=32,
        do_image_splitting=False,
    )
    return t.Lfm2VlForConditionalGeneration(config), t.Lfm2VlProcessor(images, tokenizer), "<image>"


@family
def minicpmv4_6(make, layers):
    import transformers as t

    tokenizer = make(
        image_token="<|image_pad|>",
        video_token="<|video_pad|>",
        image_start_token="<image_start>",
        image_end_token="<image_end>",
        slice_start_token="<slice>",
        slice_end_token="</slice>",
        image_id_start_token="<image_id>",
        image_id_end_token="</image_id>",
    )
    config = t.MiniCPMV4_6Config(
        text_config={
            **text(tokenizer, layers),
            "model_type": "qwen3_5_text",
            **LINEAR,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        },
        vision_config={**SIDE, "image_size": 56, "patch_size": 14, "insert_layer_id": 0},
        insert_layer_id=0,
        image_size=56,
        **ids(tokenizer, image_token_id="<|image_pad|>", video_token_id="<|video_pad|>"),
    )
    images = t.MiniCPMV4_6ImageProcessor(scale_resolution=56, max_slice_nums=2)
    processor = t.MiniCPMV4_6Processor(images, t.MiniCPMV4_6VideoProcessor(), tokenizer)
    return t.MiniCPMV4_6ForConditionalGeneration(config), processor, "<|image_pad|>"


@family
def llava_next(make, layers):
    import transformers as t

    tokenizer = make()
    config = t.LlavaNextConfig(
        text_config=text(tokenizer, layers),
        vision_config=CLIP,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=[[28, 56], [56, 28]],
        vision_feature_layer=-1,
    )
    images = t.LlavaNextImageProcessor(
        size={"shortest_edge": 28}, crop_size=SQUARE, image_grid_pinpoints=[[28, 56], [56, 28]]
    )
    processor = t.LlavaNextProcessor(
        images, tokenizer, patch_size=7, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    return t.LlavaNextForConditionalGeneration(config), processor, "<image>"


@family
def llava_onevision(make, layers):
    import transformers as t

    tokenizer = make()
    config = t.LlavaOnevisionConfig(
        text_config=text(tokenizer, layers, model_type="qwen2"),
        vision_config=SIGLIP,
        image_grid_pinpoints=[[28, 56], [56, 28]],
        **ids(tokenizer, image_token_id="<image>", video_token_id="<video>"),
    )
    config.image_token_index = config.image_token_id
    images = t.LlavaOnevisionImageProcessor(size=SQUARE, image_grid_pinpoints=[[28, 56], [56, 28]])
    processor = t.LlavaOnevisionProcessor(
        images, tokenizer, t.LlavaOnevisionVideoProcessor(), num_image_tokens=16, vision_feature_select_strategy="full"
    )
    return t.LlavaOnevisionForConditionalGeneration(config), processor, "<image>"


@family
def vipllava(make, layers):
    import transformers as t

    tokenizer = make()
    config = t.VipLlavaConfig(
        text_config=text(tokenizer, layers),
        vision_config=CLIP,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layers=[-1, -2],
    )
    images = t.CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=SQUARE)
    processor = t.LlavaProcessor(
        images, tokenizer, patch_size=7, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    return t.VipLlavaForConditionalGeneration(config), processor, "<image>"


@family
def gemma3(make, layers):
    import transformers as t

    tokenizer = make(image_token="<image>", boi_token="<img>", eoi_token="</img>")
    config = t.Gemma3Config(
        text_config=text(
            tokenizer, layers, model_type="gemma3_text", sliding_window=24, query_pre_attn_scalar=16,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
        vision_config=SIGLIP,
        mm_tokens_per_image=4,
        **ids(tokenizer, image_token_index="<image>", boi_token_index="<img>", eoi_token_index="</img>"),
    )  # fmt: skip
    images = t.Gemma3ImageProcessor(size=SQUARE)
    return t.Gemma3ForConditionalGeneration(config), t.Gemma3Processor(images, tokenizer, image_seq_length=4), "<img>"


@family
def paligemma(make, layers):
    import transformers as t

    tokenizer = make(image_token="<image>", bos="<s>")
    config = t.PaliGemmaConfig(
        text_config=text(tokenizer, layers, model_type="gemma"),
        vision_config={**SIGLIP, "projection_dim": 64},
        projection_dim=64,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    images = t.SiglipImageProcessor(size=SQUARE)
    images.image_seq_length = 16
    return t.PaliGemmaForConditionalGeneration(config), t.PaliGemmaProcessor(images, tokenizer), "<image>"


@family
def idefics2(make, layers):
    import transformers as t

    tokenizer = make(
        image_token="<image>", image_boundary_token="<fake_token_around_image>", more=("<end_of_utterance>",)
    )
    config = t.Idefics2Config(
        text_config=text(tokenizer, layers, model_type="mistral", sliding_window=None),
        vision_config={**SIDE, "image_size": 28, "patch_size": 7},
        perceiver_config={
            "hidden_size": 64,
            "resampler_n_latents": 4,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 16,
            "num_key_value_heads": 1,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    images = t.Idefics2ImageProcessor(size={"shortest_edge": 14, "longest_edge": 28}, do_image_splitting=False)
    return (
        t.Idefics2ForConditionalGeneration(config),
        t.Idefics2Processor(images, tokenizer, image_seq_len=4),
        "<image>",
    )


@family
def idefics3(make, layers):
    import transformers as t

    tokenizer = make(more=("<fake_token_around_image>", "<end_of_utterance>", "<global-img>"))
    config = t.Idefics3Config(
        text_config=text(tokenizer, layers),
        vision_config={**SIDE, "image_size": 28, "patch_size": 7},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
    )
    images = t.Idefics3ImageProcessor(
        size={"longest_edge": 28}, max_image_size={"longest_edge": 28}, do_image_splitting=False
    )
    return (
        t.Idefics3ForConditionalGeneration(config),
        t.Idefics3Processor(images, tokenizer, image_seq_len=4),
        "<image>",
    )


@family
def smolvlm(make, layers):
    import transformers as t

    tokenizer = make(image_token="<image>", fake_image_token="<fake_token_around_image>")
    config = t.SmolVLMConfig(
        text_config=text(tokenizer, layers),
        vision_config={**SIDE, "image_size": 28, "patch_size": 7},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
    )
    images = t.SmolVLMImageProcessor(
        size={"longest_edge": 28}, max_image_size={"longest_edge": 28}, do_image_splitting=False
    )
    processor = t.SmolVLMProcessor(images, tokenizer, t.SmolVLMVideoProcessor(), image_seq_len=4)
    return t.SmolVLMForConditionalGeneration(config), processor, "<image>"


PIXTRAL = {
    "model_type": "pixtral", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "head_dim": 16, "image_size": 56, "patch_size": 7,
}  # fmt: skip


@family
def mistral3(make, layers):
    import transformers as t

    tokenizer = make(image_token="[IMG]", image_break_token="[IMG_BREAK]", image_end_token="[IMG_END]")
    config = t.Mistral3Config(
        text_config=text(tokenizer, layers, model_type="mistral", sliding_window=None),
        vision_config=PIXTRAL,
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        spatial_merge_size=2,
    )
    images = t.PixtralImageProcessor(size={"longest_edge": 56}, patch_size={"height": 14, "width": 14})
    processor = t.PixtralProcessor(images, tokenizer, patch_size=7, spatial_merge_size=2)
    return t.Mistral3ForConditionalGeneration(config), processor, "[IMG]"


@family
def lighton_ocr(make, layers):
    import transformers as t

    tokenizer = make(image_token="<|image_pad|>", image_break_token="<|vision_pad|>", image_end_token="<|vision_end|>")
    config = t.LightOnOcrConfig(
        text_config=text(tokenizer, layers, model_type="qwen3"),
        vision_config=PIXTRAL,
        spatial_merge_size=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
    )
    images = t.PixtralImageProcessor(size={"longest_edge": 56}, patch_size={"height": 14, "width": 14})
    processor = t.LightOnOcrProcessor(images, tokenizer, patch_size=7, spatial_merge_size=2)
    return t.LightOnOcrForConditionalGeneration(config), processor, "<|image_pad|>"


@family
def aya_vision(make, layers):
    import transformers as t

    tokenizer = make(
        image_token="<image>", more=("<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>",
        "TILE_GLOBAL", "TILE_1", "TILE_2", "TILE_3", "TILE_4"),
    )  # fmt: skip
    config = t.AyaVisionConfig(
        text_config=text(tokenizer, layers, model_type="cohere2", sliding_window=24),
        vision_config=SIGLIP,
        image_token_index=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
        downsample_factor=2,
    )
    images = t.GotOcr2ImageProcessor(size=SQUARE, crop_to_patches=True, min_patches=1, max_patches=3)
    processor = t.AyaVisionProcessor(images, tokenizer, patch_size=14, img_size=28)
    return t.AyaVisionForConditionalGeneration(config), processor, "<image>"


@family
def cohere2_vision(make, layers):
    import transformers as t

    tokenizer = make(
        image_token="<image>", boi_token="<img>", eoi_token="</img>", img_line_break_token="<|IMG_LINE_BREAK|>"
    )  # fmt: skip
    config = t.Cohere2VisionConfig(
        text_config=text(tokenizer, layers, model_type="cohere2", sliding_window=24),
        vision_config=SIGLIP,
        alignment_intermediate_size=64,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        downsample_factor=2,
    )
    images = t.Cohere2VisionImageProcessor(size=SQUARE, min_patches=1, max_patches=3, patch_size=2)
    return t.Cohere2VisionForConditionalGeneration(config), t.Cohere2VisionProcessor(images, tokenizer), "<image>"


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
def mllama(make, layers):
    import transformers as t

    tokenizer = make(image_token="<|image|>", more=("<|python_tag|>", "<|begin_of_text|>"), bos="<|begin_of_text|>")
    # The embedding has 8 more rows than the head: the image token is the last of the tokens.
    config = t.MllamaConfig(
        text_config={
            **text(tokenizer, 3),
            "model_type": "mllama_text_model",
            "bos_token_id": tokenizer.bos_token_id,
            "cross_attention_layers": [1],
            "vocab_size": len(tokenizer),
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        },
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 2,
            "intermediate_size": 64,
            "vision_output_dim": 64,
            "image_size": 28,
            "patch_size": 7,
            "max_num_tiles": 2,
            "intermediate_layers_indices": [0],
            "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<|image|>"),
    )
    images = t.MllamaImageProcessor(size=SQUARE, max_image_tiles=2)
    return t.MllamaForConditionalGeneration(config), t.MllamaProcessor(images, tokenizer), "<|image|>"


@family
def llama4(make, layers, chunked=False):
    """With `chunked` the last layer, too, sees only keys of its own chunk, as three of four layers do."""
    import transformers as t

    tokenizer = make(more=("<|image|>", "<|image_start|>", "<|image_end|>", "<|patch|>", "<|tile_x_separator|>", "<|tile_y_separator|>"))  # fmt: skip
    config = t.Llama4Config(
        text_config=text(
            tokenizer, 4, model_type="llama4_text", intermediate_size_mlp=64, num_local_experts=2,
            attention_chunk_size=24, interleave_moe_layer_step=2, no_rope_layers=[1, 1, 1, int(chunked)],
        ),
        vision_config={
            **SIDE, "vision_output_dim": 32, "image_size": 28, "patch_size": 7, "projector_input_dim": 32,
            "projector_output_dim": 32, "intermediate_size": 128,
        },
        **ids(tokenizer, boi_token_index="<|image_start|>", eoi_token_index="<|image_end|>", image_token_index="<|patch|>"),
    )  # fmt: skip
    images = t.Llama4ImageProcessor(size=SQUARE, max_patches=2)
    processor = t.Llama4Processor(images, tokenizer, patch_size=7, pixel_shuffle_ratio=0.5)
    return t.Llama4ForConditionalGeneration(config), processor, "<|image|>"


GLM_IMAGES = {"size": {"shortest_edge": 28 * 28 * 2, "longest_edge": 28 * 28 * 2 * 12}}
GLM_IDS = {
    "image_token_id": "<|image|>", "video_token_id": "<|video|>", "image_start_token_id": "<|begin_of_image|>",
    "image_end_token_id": "<|end_of_image|>", "video_start_token_id": "<|begin_of_video|>",
    "video_end_token_id": "<|end_of_video|>",
}  # fmt: skip


def _glm(make, kind, text_config, vision=None, processor="Glm4v"):
    import transformers as t

    tokenizer = make(image_token="<|image|>", video_token="<|video|>", more=tuple(GLM_IDS.values()))
    config = getattr(t, f"{kind}Config")(
        text_config={**text(tokenizer, 3), "rope_parameters": {**ROTARY, "partial_rotary_factor": 1.0}, **text_config},
        vision_config={**QWEN_VISION, "patch_size": 14, "image_size": 56, **(vision or {})},
        **ids(tokenizer, **GLM_IDS),
    )
    made = getattr(t, f"{processor}Processor")(
        getattr(t, f"{processor}ImageProcessor")(**GLM_IMAGES), tokenizer, getattr(t, f"{processor}VideoProcessor")()
    )
    model = getattr(t, f"{kind}ForConditionalGeneration")(config)
    return model, made, "<|begin_of_image|><|image|><|end_of_image|>"


@family
def glm4v(make, layers):
    return _glm(make, "Glm4v", {"model_type": "glm4v_text"})


@family
def glm4v_moe(make, layers):
    moe = {
        "model_type": "glm4v_moe_text", "n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2,
        "moe_intermediate_size": 32, "first_k_dense_replace": 1,
    }  # fmt: skip
    return _glm(make, "Glm4vMoe", moe)


@family
def glm46v(make, layers):
    import transformers as t

    tokenizer = make(image_token="<|image|>", video_token="<|video|>", more=tuple(GLM_IDS.values()))
    config = t.Glm46VConfig(
        text_config={**text(tokenizer, 3, model_type="glm4v_text"), "rope_parameters": {**ROTARY, "partial_rotary_factor": 1.0}},
        vision_config={"model_type": "glm4v_vision", **QWEN_VISION, "patch_size": 14, "image_size": 56},
        **ids(tokenizer, **GLM_IDS),
    )  # fmt: skip
    made = t.Glm46VProcessor(t.Glm46VImageProcessor(**GLM_IMAGES), tokenizer, t.Glm46VVideoProcessor())
    return t.Glm46VForConditionalGeneration(config), made, "<|begin_of_image|><|image|><|end_of_image|>"


@family
def glm_ocr(make, layers):
    return _glm(make, "GlmOcr", {"model_type": "glm_ocr_text"}, processor="Glm46V")


@family
def got_ocr2(make, layers):
    import transformers as t

    tokenizer = make(
        image_token="<imgpad>", more=("<img>", "</img>", "<imgpad>", "<|im_start|>", "<|im_end|>"), image_pad="<imgpad>"
    )
    config = t.GotOcr2Config(
        text_config=text(tokenizer, layers, model_type="qwen2"),
        vision_config={
            "hidden_size": 32, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 64, "patch_size": 16, "mlp_dim": 64, "global_attn_indexes": [1], "window_size": 4,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<imgpad>"),
        image_seq_length=1,
    )  # fmt: skip
    images = t.GotOcr2ImageProcessor(size={"height": 64, "width": 64})
    return t.GotOcr2ForConditionalGeneration(config), t.GotOcr2Processor(images, tokenizer), "<img><imgpad></img>"


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
def ovis2(make, layers):
    import transformers as t

    marks = ("<IMG_ATOM>", "<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>")
    tokenizer = make(more=(*marks, "<image>"))
    config = t.Ovis2Config(
        text_config=text(tokenizer, layers, model_type="qwen2"),
        vision_config={
            **SIDE, "image_size": 28, "patch_size": 7, "vocab_size": 32, "hidden_stride": 2,
            "num_visual_indicator_tokens": 5,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_ATOM>"),
        visual_indicator_token_ids=tokenizer.convert_tokens_to_ids(list(marks[1:])),
        vocab_size=len(tokenizer),
        hidden_size=64,
    )  # fmt: skip
    images = t.Ovis2ImageProcessor(size=SQUARE, crop_to_patches=False)
    return t.Ovis2ForConditionalGeneration(config), t.Ovis2Processor(images, tokenizer, image_seq_length=4), "<image>"


@family
def chameleon(make, layers):
    import transformers as t

    tokens = tuple(f"IMGIMG{at}" for at in range(16))
    tokenizer = make(more=("<racm3:break>", "<eoss>", *tokens))
    vocabulary = {f"IMGIMG{'ABCDEFGHIJ'[at // 10]}{'ABCDEFGHIJ'[at % 10]}Z": tokenizer.convert_tokens_to_ids(token) for at, token in enumerate(tokens)}  # fmt: skip
    config = t.ChameleonConfig(
        **{**text(tokenizer, layers), "model_type": "chameleon"},
        vq_config={
            "embed_dim": 16, "num_embeddings": 16, "latent_channels": 16, "resolution": 32, "base_channels": 32,
            "channel_multiplier": [1, 1], "num_res_blocks": 1,
        },
        vocabulary_map={"<image>": tokenizer.convert_tokens_to_ids("<image>"), **vocabulary},
    )  # fmt: skip
    images = t.ChameleonImageProcessor(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8})
    return (
        t.ChameleonForConditionalGeneration(config),
        t.ChameleonProcessor(images, tokenizer, image_seq_length=16),
        "<image>",
    )


@family
def paddleocr_vl(make, layers):
    import transformers as t

    tokenizer = make(image_token="<|image_pad|>")
    config = t.PaddleOCRVLConfig(
        text_config={**text(tokenizer, layers, model_type="paddleocr_vl_text"), "rope_parameters": ROTARY},
        vision_config={**SIDE, "image_size": 56, "patch_size": 14},
        **ids(tokenizer, **VISION_IDS),
    )
    images = t.PaddleOCRVLImageProcessor(patch_size=14, merge_size=2, **QWEN_IMAGES)
    return t.PaddleOCRVLForConditionalGeneration(config), t.PaddleOCRVLProcessor(images, tokenizer), VISION_MARK


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
def hunyuan_vl(make, layers):
    import transformers as t

    tokenizer = make(
        image_token="<|image_pad|>", image_start_token="<|vision_start|>", image_end_token="<|vision_end|>"
    )
    config = t.HunYuanVLConfig(
        text_config={
            **text(tokenizer, layers, model_type="hunyuan_vl_text"),
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 2, 2, 2]},
        },
        vision_config={
            **SIDE, "out_hidden_size": 64, "text_hidden_size": 64, "patch_size": 14, "max_image_size": 112,
        },
        **ids(tokenizer, image_token_id="<|image_pad|>", im_start_id="<|vision_start|>", im_end_id="<|vision_end|>"),
    )  # fmt: skip
    images = t.HunYuanVLImageProcessor(patch_size=14, **QWEN_IMAGES)
    return t.HunYuanVLForConditionalGeneration(config), t.HunYuanVLProcessor(images, tokenizer), VISION_MARK


@family
def video_llama_3(make, layers):
    import transformers as t

    tokenizer = make(image_token="<|image_pad|>", video_token="<|video_pad|>")
    config = t.VideoLlama3Config(
        text_config=text(tokenizer, layers, model_type="qwen2"),
        vision_config={**SIDE, "patch_size": 14},
        **ids(tokenizer, image_token_id="<|image_pad|>", video_token_id="<|video_pad|>"),
    )
    images = t.VideoLlama3ImageProcessor(**QWEN_IMAGES)
    processor = t.VideoLlama3Processor(images, tokenizer, t.VideoLlama3VideoProcessor())
    return t.VideoLlama3ForConditionalGeneration(config), processor, "<|image_pad|>"


@family
def exaone4_5(make, layers):
    import transformers as t

    tokenizer = make(image_token="<|image_pad|>", video_token="<|video_pad|>")
    config = t.Exaone4_5_Config(
        text_config=text(tokenizer, layers, model_type="exaone4", sliding_window=24, sliding_window_pattern=4),
        vision_config={
            "model_type": "exaone4_5_vision", **QWEN_VISION, "num_key_value_heads": 2, "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        **ids(tokenizer, image_token_id="<|image_pad|>", video_token_id="<|video_pad|>"),
    )  # fmt: skip
    processor = t.Exaone4_5_Processor(t.Qwen2VLImageProcessor(**QWEN_IMAGES), tokenizer, t.Qwen2VLVideoProcessor())
    return t.Exaone4_5_ForConditionalGeneration(config), processor, VISION_MARK


@family
def blip_2(make, layers):
    import transformers as t

    tokenizer = make(image_token="<image>")
    config = t.Blip2Config(
        text_config=text(tokenizer, layers),
        qformer_config={
            "vocab_size": 32, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 64, "encoder_hidden_size": 32,
        },
        vision_config={**SIDE, "image_size": 28, "patch_size": 7},
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    images = t.BlipImageProcessor(size=SQUARE)
    return t.Blip2ForConditionalGeneration(config), t.Blip2Processor(images, tokenizer, num_query_tokens=4), "<image>"


GEMMA_SOUNDS = {"audio_token": "<|AUDIO|>", "boa_token": "<|audio_bos|>", "eoa_token": "<|audio_eos|>"}


@family
def gemma4(make, layers):
    """Its last two layers share the keys of earlier ones."""
    import transformers as t

    tokenizer = make(image_token="<image>", boi_token="<img>", eoi_token="</img>", **GEMMA_SOUNDS, more=("<|video|>",))
    config = t.Gemma4Config(
        text_config=text(
            tokenizer, 4, model_type="gemma4_text", sliding_window=24, num_kv_shared_layers=2,
            vocab_size_per_layer_input=len(tokenizer), hidden_size_per_layer_input=8, global_head_dim=16,
            layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        ),
        vision_config={
            **SIDE, "num_key_value_heads": 2, "head_dim": 16, "patch_size": 16, "position_embedding_size": 64,
        },
        audio_config=None,
        **ids(
            tokenizer, image_token_id="<image>", boi_token_id="<img>", eoi_token_id="</img>",
            video_token_id="<|video|>", audio_token_id="<|AUDIO|>",
        ),
    )  # fmt: skip
    images = t.Gemma4ImageProcessor(patch_size=16, max_soft_tokens=70)
    processor = t.Gemma4Processor(
        t.Gemma4AudioFeatureExtractor(), images, tokenizer, t.Gemma4VideoProcessor(), image_seq_length=70
    )
    return t.Gemma4ForConditionalGeneration(config), processor, "<image>"


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


@family
def qianfan_ocr(make, layers):
    import transformers as t

    tokenizer = make(start_image_token="<img>", end_image_token="</img>", context_image_token="<IMG_CONTEXT>")
    config = t.QianfanOCRConfig(
        text_config=text(tokenizer, layers, model_type="qwen3"),
        vision_config={**SIDE, "image_size": [28, 28], "patch_size": [7, 7]},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    images = t.GotOcr2ImageProcessor(size=SQUARE, crop_to_patches=True, min_patches=1, max_patches=3)
    processor = t.QianfanOCRProcessor(images, tokenizer, image_seq_length=4)
    return t.QianfanOCRForConditionalGeneration(config), processor, "<image>"


@family
def llava_next_video(make, layers):
    import transformers as t

    tokenizer = make()
    config = t.LlavaNextVideoConfig(
        text_config=text(tokenizer, layers),
        vision_config=CLIP,
        image_grid_pinpoints=[[28, 56], [56, 28]],
        vision_feature_layer=-1,
        **ids(tokenizer, image_token_index="<image>", video_token_index="<video>"),
    )
    images = t.LlavaNextImageProcessor(
        size={"shortest_edge": 28}, crop_size=SQUARE, image_grid_pinpoints=[[28, 56], [56, 28]]
    )
    processor = t.LlavaNextVideoProcessor(
        t.LlavaNextVideoVideoProcessor(), images, tokenizer, patch_size=7, vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )  # fmt: skip
    return t.LlavaNextVideoForConditionalGeneration(config), processor, "<image>"


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
