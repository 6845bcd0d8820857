"""Meta's Llama with images: cross attention, and a mixture of experts."""

from __future__ import annotations

from .parts import SIDE, SQUARE, family, ids, text


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
