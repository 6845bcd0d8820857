"""Rollouts per second of engine hf beside Transformers' own `generate`, on the same random model and prompts.

    python benchmarks/sampling.py [--prompts 8] [--rollouts 5] [--prompt-tokens 600] [--tokens 64] [--repeats 3]

`generate` is called as a user would: one padded batch, do_sample=True, num_return_sequences=M, which reads every prompt
(and encodes every image) M times; the engine reads it once. `with attention` adds all statistics of psi. The three
take turns in one process; the median of the repeats is shown. Ends are left to chance: about one token in 40.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"prompts": 8, "rollouts": 5, "prompt-tokens": 600, "tokens": 64, "repeats": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        compare(folder, options)


def compare(folder: str, options: argparse.Namespace) -> None:
    import torch
    from PIL import Image

    from rap_plugin.config import ModelConfig
    from rap_plugin.engines.hf import chat, padding
    from rap_plugin.engines.hf.engine import open_hf
    from rap_plugin.rollout import Prompt, Request, Sampling

    engine = open_hf(ModelConfig(id=folder, device=options.device, batch_size=options.prompts * options.rollouts))
    rng = np.random.default_rng(0)
    prompts = []
    for n in range(options.prompts):
        image = Image.fromarray(rng.integers(0, 256, (224, 224, 3), dtype=np.uint8))
        question = "".join(rng.choice(list("abcdefghij "), max(1, options.prompt_tokens - 290 - 3 * n)))
        prompts.append(Prompt(f"{n:032x}", "image", f"<image>{question}", (image,)))
    requests = [Request(prompt, tuple(range(options.rollouts))) for prompt in prompts]
    sampling = Sampling(max_new_tokens=options.tokens, max_prompt_tokens=10**6)
    model = engine._model()

    def plain() -> int:
        prepared = [chat.prepare(prompt, engine._processor, model.network) for prompt in prompts]
        inputs = padding.pad_prompts(prepared, model.pad_id, model.network, takes_positions=False).inputs
        with torch.inference_mode():
            out = model.network.generate(
                **inputs,
                do_sample=True,
                top_k=0,
                num_return_sequences=options.rollouts,
                max_new_tokens=options.tokens,
                pad_token_id=model.pad_id,
            )
        new = out[:, inputs["input_ids"].shape[1] :]
        return int((new != model.pad_id).sum())

    def ours() -> int:
        return sum(len(one.token_ids) for row in engine.generate(requests, sampling) for one in row)

    def measured() -> int:
        rows = engine.generate_with_attention(requests, sampling)
        return sum(len(one.token_ids) for row in rows for one, _ in row)

    runs: dict[str, Any] = {"generate": plain, "engine hf": ours, "with attention": measured}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    tokens: dict[str, int] = {}
    for at in range(options.repeats + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            tokens[name] = run()
            if at:  # the first turn warms up
                seconds[name].append(time.perf_counter() - started)
    count = options.prompts * options.rollouts
    print(f"{options.prompts} prompts x {options.rollouts} rollouts, at most {options.tokens} tokens, {options.device}")
    print(f"{'':>15} {'seconds':>8} {'rollouts/s':>11} {'tokens':>7} {'x generate':>11}")
    for name, values in seconds.items():
        median = statistics.median(values)
        faster = statistics.median(seconds["generate"]) / median
        print(f"{name:>15} {median:>8.2f} {count / median:>11.1f} {tokens[name]:>7} {faster:>11.2f}")
    engine.close()


def build(folder: Path) -> None:
    """A random LLaVA-shaped model, 12 layers of 8 heads, with a character tokenizer, saved to `folder`."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    words = ["<pad>", "</s>", "<image>", *map(chr, range(32, 127)), "\n"]
    backend = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", additional_special_tokens=["<image>"]
    )
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=6,
        num_attention_heads=4,
        image_size=224,
        patch_size=14,
    )
    text = LlamaConfig(
        hidden_size=512,
        intermediate_size=1376,
        num_hidden_layers=12,
        num_attention_heads=8,
        vocab_size=len(words),
        max_position_embeddings=8192,
        eos_token_id=1,
        pad_token_id=0,
        bos_token_id=None,
    )
    config = LlavaConfig(text_config=text, vision_config=vision, image_token_index=2, vision_feature_layer=-1)
    network = LlavaForConditionalGeneration(config)
    torch.nn.init.normal_(network.get_output_embeddings().weight, std=0.04)
    network.generation_config.eos_token_id = 1
    network.generation_config.pad_token_id = 0
    network.save_pretrained(folder)
    images = CLIPImageProcessor(size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224})
    processor = LlavaProcessor(
        images, tokenizer, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    processor.chat_template = (
        "{% for m in messages %}{% for c in m['content'] %}"
        "{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}{% endfor %}\n{% endfor %}"
    )
    processor.save_pretrained(folder)


if __name__ == "__main__":
    main()
