"""Images as codes or queries instead of patches."""

from __future__ import annotations

from .parts import SIDE, SQUARE, family, text


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
