"""Families on the Pixtral encoder."""

from __future__ import annotations

from .parts import family, text

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
