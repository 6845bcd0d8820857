"""A tiny model that asks for regions: trained in a few seconds to say one fixed turn for each of sixteen questions.

Which regions it asks for, how many, and what it answers differ between the questions; it says its turns whatever the image
shows. Two of them go wrong on purpose: a box that is no JSON, and the same box twice.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.engines.tiny_models import build

SIZE = (112, 84)
"""Of every picture: what Qwen2.5-VL's processor leaves as it is."""


def box(*corners: int) -> str:
    return f'{{"bbox_2d": [{", ".join(map(str, corners))}]}}'


def said(number: int) -> list[str]:
    """What the model says to question `number`, one text a segment."""
    x, y = 4 * (number % 8), 5 * (number // 8)
    looks = [f"a {box(x, y, x + 40, y + 30)}", f"b {box(x + 30, y + 20, x + 70, y + 60)}"][: number % 3]
    if number == 14:
        looks = ['a {"bbox_2d": [1, 2, 30]}', f"b {box(1, 2, 30, 40)}"]
    if number == 15:
        looks = [f"a {box(1, 2, 30, 40)}", f"a {box(1, 2, 30, 40)}"]
    return [*looks, f"<answer>{'ABCD'[number % 4]}</answer>"]


def question(number: int) -> str:
    return f"{'abcdefghijklmnop'[number]}?"


def picture(number: int):
    from PIL import Image

    return Image.linear_gradient("L").resize(SIZE).rotate(20 * number).convert("RGB")


def loop_options():
    from rap_plugin.vlm_r3.crops import CropLimits
    from rap_plugin.vlm_r3.loop import LoopOptions

    return LoopOptions(max_new_tokens=160, limits=CropLimits(28 * 28, 4 * 28 * 28))


def prompt(number: int):
    from rap_plugin.rollout import Prompt

    return Prompt(f"q{number}", "image", f"<image>{question(number)}", (picture(number),))


def sampling(**changes):
    from rap_plugin.rollout import Sampling

    return Sampling(**{"temperature": 0.0, "max_prompt_tokens": 200, "max_new_tokens": 300, **changes})


def train(folder: Path, *, steps: int = 80, family: str = "qwen2_5_vl") -> Path:
    """Builds and trains the model; its processor is saved beside it."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from rap_plugin.engines.facts import vision_facts
    from rap_plugin.engines.hf.chat import prepare
    from rap_plugin.engines.hf.padding import pad_prompts
    from rap_plugin.engines.hf.turns import turn_inputs
    from rap_plugin.engines.turns import Segment
    from rap_plugin.vlm_r3.coordinates import frame_of
    from rap_plugin.vlm_r3.loop import RegionRow

    build(family, folder, size=128, heads=4, layers=2)
    processor = AutoProcessor.from_pretrained(folder)
    network = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    encode = processor.tokenizer.encode
    rows = []
    for number in range(16):
        row = RegionRow.of(prompt(number), frame_of(vision_facts(network.config, processor)), loop_options())
        for text in said(number):
            row.accept(Segment(tuple(encode(text, add_special_tokens=False)), text, "closed"))
        rows.append(turn_inputs(row.turn, prepare(row.turn.prompt, processor, network), processor, network))
    pad = processor.tokenizer.pad_token_id
    batch = pad_prompts([row.inputs for row in rows], pad, network, True).inputs
    width = batch["input_ids"].shape[1]
    labels = torch.full_like(batch["input_ids"], -100)
    for at, row in enumerate(rows):
        there = torch.where(row.sampled, row.inputs.ids, -100)
        labels[at, width - len(there) :] = there
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.1)
    network.train()
    for step in range(steps):
        logits = network(**batch, use_cache=False).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 10 == 0 and loss.item() < 0.003:
            break
    network.save_pretrained(folder)
    return folder


def that_always_hears(number: int, looker: Path, folder: Path) -> Path:
    """The same model with a chat template that asks question `number` whatever the text is: for hosts' own questions."""
    shutil.copytree(looker, folder)
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("{{ c['text'] }}", question(number)))
    return folder
