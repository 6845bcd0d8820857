"""Others that cut images as Qwen does."""

from __future__ import annotations

from .parts import QWEN_IMAGES, QWEN_VISION, ROTARY, SIDE, VISION_IDS, VISION_MARK, family, ids, text


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
