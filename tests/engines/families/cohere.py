"""Cohere's two."""

from __future__ import annotations

from .parts import SIGLIP, SQUARE, family, text


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
