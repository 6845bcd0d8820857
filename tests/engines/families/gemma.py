"""Google's Gemma and PaliGemma."""

from __future__ import annotations

from .parts import SIDE, SIGLIP, SQUARE, family, ids, text


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
