"""Random vision-language models, with processors, small enough to build in a test.

Four families have options (layers, sizes, text configuration); the others are in `families`.

Weights are drawn wide, so that responses differ between prompts and attention is not flat.
"""

from __future__ import annotations

import string
from pathlib import Path

from .families import BUILDERS

FAMILIES = ("llava", "internvl", "qwen2_5_vl", "qwen3_vl")
ALL_FAMILIES = (*FAMILIES, *BUILDERS)

SPECIAL = [
    "<pad>", "<s>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<image>", "<|vision_start|>", "<|vision_end|>",
    "<|image_pad|>", "<|video_pad|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>",
]  # fmt: skip
IMAGE_MARK = {
    "llava": "<image>",
    "llava_mistral": "<image>",
    "internvl": "<IMG_CONTEXT>",
    "qwen2_5_vl": "<|vision_start|><|image_pad|><|vision_end|>",
    "qwen3_vl": "<|vision_start|><|image_pad|><|vision_end|>",
}
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}MARK{% else %}{{ c['text'] }}{% endif %}{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}{% endif %}"
)


def make_tokenizer(more=(), bos=None, **names):
    """One token a character. `names` are tokens that a processor asks its tokenizer for; `more` are further ones."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    characters = sorted(set(string.ascii_letters + string.digits + string.punctuation + " \n"))
    special = list(dict.fromkeys([*SPECIAL, *names.values(), *more]))
    tokens = dict.fromkeys([*SPECIAL, "<unk>", *characters, *special])
    vocabulary = {token: at for at, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<|im_end|>",
        unk_token="<unk>",
        additional_special_tokens=[token for token in special if token not in ("<pad>", "<|im_end|>", bos)],
        model_input_names=["input_ids", "attention_mask"],
        **({"bos_token": bos} if bos else {}),
        **({"extra_special_tokens": names} if names else {}),
    )


def text_config(tokenizer, layers, heads=4, groups=2, size=64, **extra):
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": size,
        "intermediate_size": 2 * size,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "max_position_embeddings": 8192,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        **extra,
    }


def build(family: str, folder: Path, *, layers: int = 3, seed: int = 0, **text) -> Path:
    """Saves a random model with its processor to `folder`. Raises ImportError where the processor needs torchvision."""
    import torch

    tokenizer = make_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if family in BUILDERS:
            model, processor, mark = BUILDERS[family](make_tokenizer, layers, **text)
            tokenizer = processor.tokenizer
        else:
            model, processor = globals()[f"_{family}"](tokenizer, layers, text)
            mark = IMAGE_MARK[family]
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "embed" not in name:
                torch.nn.init.normal_(weight, std=weight.shape[-1] ** -0.5)
            elif name.endswith("bias"):
                torch.nn.init.normal_(weight, std=0.1)
        for embedding in (model.get_input_embeddings(),):
            torch.nn.init.normal_(embedding.weight, std=1.0)
        torch.nn.init.normal_(model.get_output_embeddings().weight, std=0.25)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|endoftext|>")]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.chat_template = TEMPLATE.replace("MARK", mark)
    processor.save_pretrained(folder)
    return folder


def _llava_mistral(tokenizer, layers, text):
    """LLaVA around a decoder whose layers all look back over a sliding window of 24 tokens."""
    from transformers import MistralConfig

    return _llava(tokenizer, layers, {"sliding_window": 24, "head_dim": 16, **text}, MistralConfig)


def _llava(tokenizer, layers, text, decoder=None):
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=7
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=(decoder or LlamaConfig)(**text_config(tokenizer, layers, **text)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
    )
    images = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    processor = LlavaProcessor(
        images, tokenizer, patch_size=7, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    return LlavaForConditionalGeneration(config), processor


def _internvl(tokenizer, layers, text):
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
        InternVLVisionConfig,
        Qwen2Config,
    )

    names = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = make_tokenizer(**names)
    vision = InternVLVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=[28, 28],
        patch_size=[7, 7],
    )
    config = InternVLConfig(
        vision_config=vision,
        text_config=Qwen2Config(**text_config(tokenizer, layers, **text)),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    images = GotOcr2ImageProcessor(size={"height": 28, "width": 28}, crop_to_patches=True, min_patches=1, max_patches=3)
    processor = InternVLProcessor(images, tokenizer, InternVLVideoProcessor(), image_seq_length=4)
    return InternVLForConditionalGeneration(config), processor


def _vision_ids(tokenizer):
    return {
        "image_token_id": tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        "video_token_id": tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    }


def _qwen2_5_vl(tokenizer, layers, text):
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    heads = text.get("heads", 4)
    size = text.get("size", 64) // heads
    sections = [size // 2 - 2 * (size // 6), size // 6, size // 6]
    rope = {"rope_type": "default", "type": "default", "mrope_section": sections, "rope_theta": 10000.0}
    config = Qwen2_5_VLConfig(
        text_config={**text_config(tokenizer, layers, **text), "rope_parameters": rope, "rope_scaling": rope},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": text.get("size", 64),
            "patch_size": 14,
            "fullatt_block_indexes": [1],
            "window_size": 56,
        },
        **_vision_ids(tokenizer),
    )
    images = Qwen2VLImageProcessor(min_pixels=28 * 28, max_pixels=28 * 28 * 12)
    return Qwen2_5_VLForConditionalGeneration(config), Qwen2_5_VLProcessor(images, tokenizer, Qwen2VLVideoProcessor())


def _qwen3_vl(tokenizer, layers, text):
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    heads = text.get("heads", 4)
    size = text.get("size", 64) // heads
    sections = [size // 2 - 2 * (size // 6), size // 6, size // 6]
    rope = {"rope_type": "default", "mrope_section": sections, "mrope_interleaved": True, "rope_theta": 10000.0}
    config = Qwen3VLConfig(
        text_config={
            **text_config(tokenizer, layers, **text),
            "head_dim": size,
            "rope_parameters": rope,
            "rope_scaling": rope,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": text.get("size", 64),
            "patch_size": 16,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
        },
        **_vision_ids(tokenizer),
    )
    images = Qwen2VLImageProcessor(patch_size=16, size={"shortest_edge": 32 * 32, "longest_edge": 32 * 32 * 12})
    return Qwen3VLForConditionalGeneration(config), Qwen3VLProcessor(images, tokenizer, Qwen3VLVideoProcessor())
