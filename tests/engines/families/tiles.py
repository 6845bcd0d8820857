"""Families that cut an image into tiles."""

from __future__ import annotations

from .parts import LINEAR, SIDE, SQUARE, family, ids, text


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
