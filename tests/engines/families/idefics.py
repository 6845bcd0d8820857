"""Hugging Face's Idefics and SmolVLM."""

from __future__ import annotations

from .parts import SIDE, family, text


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
