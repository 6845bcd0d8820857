"""Random models in the shapes of Qwen2.5-VL, and a pool of crops of real photographs."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SPECIAL = ("<pad>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
           "<|video_pad|>", "<unk>")  # fmt: skip
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}{% if c['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Shape:
    """Sizes of a Qwen2.5-VL, as the config.json of the published models has them."""

    name: str
    hidden: int
    layers: int
    heads: int
    key_heads: int
    between: int
    words: int
    tied: bool
    vision_layers: int = 32
    vision_hidden: int = 1280
    vision_between: int = 3420
    vision_heads: int = 16
    sections: tuple[int, int, int] = (16, 24, 24)


SHAPES = {
    "3b": Shape("Qwen2.5-VL-3B", 2048, 36, 16, 2, 11008, 151936, True),
    "7b": Shape("Qwen2.5-VL-7B", 3584, 28, 28, 4, 18944, 152064, False),
    "tiny": Shape("tiny", 64, 3, 4, 2, 128, 16384, True, 2, 32, 64, 2, (4, 2, 2)),
}


def configuration(shape: Shape) -> Any:
    """The model's configuration, for Transformers."""
    from transformers import Qwen2_5_VLConfig

    rope = {"rope_type": "default", "type": "default", "mrope_section": list(shape.sections), "rope_theta": 1_000_000.0}
    text = {
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_heads,
        "intermediate_size": shape.between,
        "vocab_size": shape.words,
        "max_position_embeddings": 128000,
        "tie_word_embeddings": shape.tied,
        "rope_parameters": rope,
        "rope_scaling": rope,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": SPECIAL.index("<|im_end|>"),
    }
    vision = {
        "depth": shape.vision_layers,
        "hidden_size": shape.vision_hidden,
        "intermediate_size": shape.vision_between,
        "num_heads": shape.vision_heads,
        "out_hidden_size": shape.hidden,
        "patch_size": 14,
        "window_size": 112,
        "fullatt_block_indexes": list(range(shape.vision_layers))[7::8] or [shape.vision_layers - 1],
    }
    ids = {
        "image_token_id": SPECIAL.index("<|image_pad|>"),
        "video_token_id": SPECIAL.index("<|video_pad|>"),
        "vision_start_token_id": SPECIAL.index("<|vision_start|>"),
        "vision_end_token_id": SPECIAL.index("<|vision_end|>"),
    }
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=shape.tied, **ids)


def build(shape: Shape, device: str, dtype: Any) -> Any:
    """The network with random weights, made on the device itself."""
    import torch
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(0)
    with torch.device(device):
        network = AutoModelForImageTextToText.from_config(configuration(shape), dtype=dtype, attn_implementation="sdpa")
    return network.eval().requires_grad_(False)


def save(shape: Shape, folder: Path, device: str, dtype: Any) -> None:
    """A model folder that engine hf opens: weights, processor, and a tokenizer with a word for every token."""
    network = build(shape, device, dtype)
    network.generation_config.eos_token_id = [SPECIAL.index("<|im_end|>"), SPECIAL.index("<|endoftext|>")]
    network.generation_config.pad_token_id = 0
    network.save_pretrained(folder)
    _processor(shape.words).save_pretrained(folder)


def _processor(words: int) -> Any:
    """Characters are tokens of their own and every other token is a number, so that random responses are text to grade."""
    import string

    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    known = list(dict.fromkeys([*SPECIAL, *string.ascii_letters, *string.digits, *string.punctuation, " ", "\n"]))
    known += [f" {number}" for number in range(words - len(known))]
    tokenizer = Tokenizer(models.WordLevel({token: at for at, token in enumerate(known)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(list(SPECIAL))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<|im_end|>",
        unk_token="<unk>",
        additional_special_tokens=[token for token in SPECIAL if token not in ("<pad>", "<|im_end|>", "<unk>")],
        model_input_names=["input_ids", "attention_mask"],
    )
    images = Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=1280 * 28 * 28)
    return Qwen2_5_VLProcessor(images, fast, Qwen2VLVideoProcessor(), chat_template=TEMPLATE)


def photographs() -> list[Any]:
    """The photographs that scikit-learn brings; the embedded pool's scanned digits where it is not installed."""
    from PIL import Image

    try:
        from sklearn.datasets import load_sample_images

        return [Image.fromarray(array) for array in load_sample_images().images]
    except ImportError:
        import pyarrow.parquet as pq

        from rap_plugin.demo import POOL_PATH

        rows = pq.ParquetFile(POOL_PATH).read_row_group(0).slice(0, 8).to_pylist()
        found = [value["bytes"] for row in rows for value in row["images"]]
        return [Image.open(io.BytesIO(data)).convert("RGB") for data in found]


def write_pool(path: Path, samples: int, side: int) -> None:
    """A Parquet pool of questions about crops of `side` x `side` pixels, every one another one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    draws, photos = random.Random(0), photographs()
    rows = []
    for number in range(samples):
        photo = photos[number % len(photos)]
        width = draws.randint(min(photo.size) // 2, min(photo.size))
        left, top = draws.randint(0, photo.width - width), draws.randint(0, photo.height - width)
        target = io.BytesIO()
        photo.crop((left, top, left + width, top + width)).resize((side, side)).save(target, "PNG")
        row = {"problem": f"<image>How many things are in picture {number}?", "answer": str(number % 10)}
        rows.append({**row, "images": [{"bytes": target.getvalue(), "path": None}]})
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("problem", pa.string()), ("answer", pa.string()), ("images", pa.list_(struct))])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
