"""Qwen's thinkers, which take sounds beside images."""

from __future__ import annotations

from .parts import MOE, QWEN3_IMAGES, QWEN3_VISION, QWEN_IMAGES, QWEN_VISION, ROTARY, VISION_MARK, family, ids, text


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
