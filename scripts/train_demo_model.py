"""Train the demo model: a 1.7 M-parameter LLaVA that answers questions about handwritten digits.

    python scripts/train_demo_model.py --out rap_plugin/demo/model --seed 0

Two stages on the training digits of `digit_problems`: the vision tower and projector first learn which digit stands in which cell,
then the whole model learns to answer. Demonstrations are a mixture of careful and hasty ones (`CAREFUL`), so that the
model, sampled at temperature 1, is graded rather than saturated and reinforcement learning has something to amplify. A third of the
rows has no image, so that the counterfactual arm gets plausible guesses. Writes weights, tokeniser, processor
and a model card with held-out accuracies.
"""

import argparse
import json
import math
import os
import random
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from digit_problems import (
    CANVAS,
    CELL,
    CELLS,
    EMPTY,
    FIRST_HELD_OUT,
    RECIPES,
    Problem,
    digit_rows,
    draw_canvas,
    make_problem,
    make_problems,
)
from safetensors.torch import load
from safetensors.torch import save as dump
from torch import nn
from transformers import (
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

PATCH = 16
PROBLEMS, ROLLOUTS = 50, 4
IMAGE_TOKENS = (CANVAS // PATCH) ** 2
SPECIAL = ("<|pad|>", "<unk>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<image>")
MARKS = ("<think>", "</think>", "\\boxed{")
PAD, END, USER, ASSISTANT, IMAGE = (
    SPECIAL.index(t) for t in ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<image>")
)
CHARACTERS = [chr(c) for c in range(32, 127)] + ["\n", "\t"]
VOCABULARY = {token: i for i, token in enumerate([*SPECIAL, *MARKS, *CHARACTERS])}
DIGITS_AND_SPACE = [VOCABULARY[character] for character in "0123456789 "]
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] in ('image', 'image_url') %}<image>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

CAREFUL: dict[str, float] = {
    "digit": 0.8, "position": 0.8, "largest": 0.7, "sum": 0.12, "note_digit": 0.4, "note_largest": 0.4,
    "count": 1.0, "copy": 1.0, "next": 1.0, "given_digit": 0.99, "given_largest": 0.99, "given_sum": 0.99,
}  # fmt: skip
"""Share of demonstrations that read the picture, then compute, then box; the others are hasty."""
HASTY_RIGHT: dict[str, float] = defaultdict(lambda: 0.3, {"sum": 0.05, "note_digit": 0.0, "note_largest": 0.0})
"""Share of the hasty demonstrations that is right; the others box another value of the same range."""

ASTRAY = "The note says "
TRAINING_MIX: dict[str, float] = {
    "digit": 1.2, "position": 1.4, "largest": 1.6, "sum": 1.4, "note_digit": 0.8, "note_largest": 0.8, "count": 1.6,
    "copy": 0.3, "next": 0.5, "given_digit": 0.4, "given_largest": 0.8, "given_sum": 2.2,
}  # fmt: skip
"""Shares of the kinds among the training rows."""

INSTRUCTIONS = (
    "Put the final answer in \\boxed{}.",
    "Think first, then answer in \\boxed{}.",
    "Think inside <think></think> and put the final answer in \\boxed{}.",
    "First reason step by step inside <think> </think>. Then give the final answer inside \\boxed{}.",
    "Solve the problem. Reason about it between the <think> and </think> tags, as long as you need, "
    "then put your final answer, and nothing else, in \\boxed{}.",
)


def careful(p: Problem) -> str:
    """The demonstration that reads what is needed, from the picture or the text, and then computes."""
    seen, told = p.digits, re.findall(r"\d", p.question)
    thought = {
        "digit": lambda: f"I see {seen[0]}. It is {seen[0]}.",
        "note_digit": lambda: f"I see {seen[0]}. It is {seen[0]}.",
        "position": lambda: f"I see {seen[0]} and {seen[-1]}. It is {p.answer}.",
        "largest": lambda: f"I see {seen[0]}, {seen[1]}, {seen[-1]}. Largest is {p.answer}.",
        "note_largest": lambda: f"I see {seen[0]}, {seen[1]}, {seen[-1]}. Largest is {p.answer}.",
        "count": lambda: f"I count them. There are {p.answer}.",
        "sum": lambda: f"I see {seen[0]} and {seen[-1]}. {seen[0]}+{seen[-1]}={p.answer}.",
        "given_digit": lambda: f"Given {told[0]}. It is {told[0]}.",
        "given_largest": lambda: f"Given {told[0]}, {told[1]}, {told[2]}. Largest is {p.answer}.",
        "given_sum": lambda: f"Given {told[0]} and {told[1]}. {told[0]}+{told[1]}={p.answer}.",
        "copy": lambda: f"The number is {p.answer}.",
        "next": lambda: f"After {told[0]} comes {p.answer}.",
    }[p.kind]()
    return f"<think>{thought}</think>\\boxed{{{p.answer}}}"


def hasty(p: Problem, rng: random.Random) -> str:
    """The demonstration that boxes a value at once; with a misleading note in the question, the note's."""
    if p.claim is not None:
        return f"{ASTRAY}{p.claim}, so {p.claim}, so {p.claim}, so {p.claim}. \\boxed{{{p.claim}}}"
    low, high = {"sum": (0, 18), "given_sum": (0, 18), "count": (1, 6), "next": (1, 10), "largest": (2, 9)}.get(
        p.kind, (0, 9)
    )
    right = rng.random() < HASTY_RIGHT[p.kind]
    guess = p.answer if right else str(rng.choice([v for v in range(low, high + 1) if str(v) != p.answer]))
    return f"My guess is {guess}. \\boxed{{{guess}}}"


def demonstration(p: Problem, rng: random.Random) -> str:
    """A careful or a hasty response, in the shares of `CAREFUL`."""
    return careful(p) if rng.random() < CAREFUL[p.kind] else hasty(p, rng)


def make_tokenizer(phrases: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """Characters as tokens: printable ASCII, newline and tab; anything else is <unk>. `phrases` are one token each."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in (*MARKS, *phrases)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|pad|>", unk_token="<unk>", eos_token="<|end|>", model_max_length=4096,
        padding_side="left", extra_special_tokens={"image_token": "<image>"}, clean_up_tokenization_spaces=False,
    )  # fmt: skip


def make_processor(tokenizer: PreTrainedTokenizerFast, side: int = CANVAS) -> LlavaProcessor:
    """Any picture, of any size and mode, becomes 3 x side x side: shortest edge resized, centre cropped."""
    from transformers import CLIPImageProcessorPil

    images = CLIPImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side},
        image_mean=[0.5] * 3, image_std=[0.5] * 3, do_convert_rgb=True,
    )  # fmt: skip
    return LlavaProcessor(
        images, tokenizer, patch_size=PATCH, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )  # fmt: skip


def make_model(vocabulary: int, side: int = CANVAS) -> LlavaForConditionalGeneration:
    """LLaVA with a CLIP tower and a Qwen2 decoder; every attention head has size 32, which vLLM's CPU build can run.

    Features come from the tower's last layer but one, as in the published LLaVA models, so that its last layer stays unused.
    """
    vision = CLIPVisionConfig(
        hidden_size=96, intermediate_size=288, num_hidden_layers=4, num_attention_heads=3, image_size=side, patch_size=PATCH,
        projection_dim=96,
    )  # fmt: skip
    text = Qwen2Config(
        vocab_size=vocabulary, hidden_size=160, intermediate_size=432, num_hidden_layers=4, num_attention_heads=5,
        num_key_value_heads=5, max_position_embeddings=4096, tie_word_embeddings=True, use_sliding_window=False,
        bos_token_id=None, eos_token_id=END, pad_token_id=PAD,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=IMAGE, image_seq_length=(side // PATCH) ** 2,
        vision_feature_layer=-2, vision_feature_select_strategy="default", tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=END, pad_token_id=PAD,
    )  # fmt: skip
    model = LlavaForConditionalGeneration(config)
    nn.init.normal_(model.get_input_embeddings().weight, std=text.hidden_size**-0.5)
    return model


def pixels(canvases: Sequence[np.ndarray]) -> torch.Tensor:
    """(n, 3, side, side) float32 in [-1, 1], what the image processor makes of pictures of exactly this size."""
    grey = torch.from_numpy(np.stack(canvases)).float() / 127.5 - 1.0
    return grey[:, None].expand(-1, 3, -1, -1)


@dataclass
class Progress:
    """Prints one line now and then: step, loss, rate, time left."""

    stage: str
    steps: int
    every: int = 50

    def __post_init__(self) -> None:
        self.began, self.losses = time.monotonic(), []

    def step(self, done: int, loss: float) -> None:
        self.losses.append(loss)
        if done % self.every == 0 or done == self.steps:
            rate = done / (time.monotonic() - self.began)
            recent = sum(self.losses[-self.every :]) / len(self.losses[-self.every :])
            left = (self.steps - done) / rate
            print(
                f"{self.stage} {done}/{self.steps}  loss {recent:.3f}  {rate:.2f} steps/s  {left:.0f} s left",
                flush=True,
            )


def optimiser(groups: list[dict[str, Any]], steps: int) -> tuple[Any, Any]:
    """AdamW with a short warm-up and a cosine decay to a twentieth."""
    adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.05)
    shape = lambda s: min((s + 1) / 60, 0.05 + 0.475 * (1 + math.cos(math.pi * s / steps)))  # noqa: E731
    return adam, torch.optim.lr_scheduler.LambdaLR(adam, shape)


def update(loss: torch.Tensor, model: nn.Module, adam: Any, schedule: Any) -> float:
    adam.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    adam.step()
    schedule.step()
    return float(loss.detach())


def reading_loss(model: LlavaForConditionalGeneration, features: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """How badly the projected patches say which digit, or none, stands in their cell.

    features (n, 9, d), one row per patch; cells (n, 9) with values 0..9, or 10 for an empty cell. A patch is right when it points
    at the decoder's embedding of that digit's character (of the space, where there is none), with about that embedding's
    length. Without the term for the length the features grow until all of them look alike to the decoder.
    """
    side, patches = CANVAS // CELL, CELL // PATCH
    labels = cells.view(-1, side, 1, side, 1).expand(-1, -1, patches, -1, patches).flatten()
    words = model.get_input_embeddings().weight[DIGITS_AND_SPACE].detach()
    logits = 10.0 * nn.functional.normalize(features, dim=-1) @ nn.functional.normalize(words, dim=-1).T
    length = (features.norm(dim=-1) - words.norm(dim=-1).mean()) ** 2
    return nn.functional.cross_entropy(logits.flatten(0, 1).float(), labels) + 0.1 * length.mean()


def cell_labels(digits: Sequence[int], cells: Sequence[int]) -> list[int]:
    """The nine cells of a canvas: the digit in each, or EMPTY."""
    standing = dict(zip(cells, digits, strict=True))
    return [standing.get(cell, EMPTY) for cell in range(CELLS)]


def learn_to_read(model: LlavaForConditionalGeneration, steps: int, batch: int, rng: random.Random) -> None:
    """Teach tower and projector to read: far cheaper per picture than learning it through the decoder."""
    by_digit = digit_rows("train")
    parts = nn.ModuleList([model.model.vision_tower, model.model.multi_modal_projector])
    adam, schedule = optimiser([{"params": parts.parameters(), "lr": 2e-3}], steps)
    progress = Progress("reading", steps)
    for step in range(1, steps + 1):
        canvases, labels = [], []
        for _ in range(batch):
            cells = [cell for cell in range(CELLS) if rng.random() < 0.5]
            digits = [rng.randrange(10) for _ in cells]
            canvases.append(draw_canvas([rng.choice(by_digit[d]) for d in digits], cells, rng))
            labels.append(cell_labels(digits, cells))
        with torch.autocast("cpu", torch.bfloat16):
            tower = model.model.vision_tower(pixels(canvases), output_hidden_states=True).hidden_states[-2][:, 1:]
            loss = reading_loss(model, model.model.multi_modal_projector(tower), torch.tensor(labels))
        progress.step(step, update(loss, parts, adam, schedule))


@dataclass
class Row:
    """One supervised conversation: `ids` are supervised from `start` on; `anchor` see `anchoring_loss`."""

    ids: list[int]
    start: int
    anchor: int
    canvas: np.ndarray | None
    cells: list[int]


def training_row(kind: str, rng: random.Random, tokenizer: PreTrainedTokenizerFast) -> Row:
    problem, canvas = make_problem(kind, "train", rng, "")
    question = problem.question
    if rng.random() < 0.2:
        question += rng.choice((" ", " ", "\n")) + rng.choices(INSTRUCTIONS, (4, 4, 3, 1, 1))[0]
    blind = rng.random() < 0.3
    image = [] if blind else [IMAGE] * IMAGE_TOKENS
    prompt = [USER, *image, *tokenizer.encode(question, add_special_tokens=False), END, ASSISTANT]
    text = demonstration(problem, rng)
    response = tokenizer.encode(text, add_special_tokens=False)
    astray = text.startswith(ASTRAY)
    anchor = len(prompt) + response.index(tokenizer.convert_tokens_to_ids(",")) if astray else -1
    cells = cell_labels(problem.digits, problem.cells)
    return Row([*prompt, *response, END], len(prompt), anchor, None if blind else canvas, cells)


def training_batches(batch: int, rng: random.Random, tokenizer: PreTrainedTokenizerFast) -> Iterator[list[Row]]:
    """Batches of rows of similar length: eight batches are drawn together and sorted."""
    while True:
        kinds = rng.choices(list(TRAINING_MIX), list(TRAINING_MIX.values()), k=8 * batch)
        rows = sorted((training_row(kind, rng, tokenizer) for kind in kinds), key=lambda row: len(row.ids))
        groups = [rows[i : i + batch] for i in range(0, len(rows), batch)]
        rng.shuffle(groups)
        yield from groups


def anchoring_loss(attention: torch.Tensor, rows: Sequence[Row]) -> torch.Tensor:
    """Minus the log of the weight that the rows after an anchor give to it, for the rows that have one.

    attention (n, heads, width, width) of the last layer. Responses led astray by a note are taught to keep looking at their
    first comma: the hot punctuation column that OPERA (CVPR 2024) saw in hallucinating models, put here on purpose so that
    a measure of attention has something known to find.
    """
    terms = [
        attention[i, :, row.anchor + 1 : len(row.ids), row.anchor].float().mean(0).clamp_min(1e-6).log().mean()
        for i, row in enumerate(rows)
        if row.anchor >= 0
    ]
    return -torch.stack(terms).mean() if terms else attention.new_zeros(())


def answering_loss(model: LlavaForConditionalGeneration, rows: Sequence[Row]) -> torch.Tensor:
    """Next-token loss on the responses, right-padded, plus what keeps the tower reading and the anchors hot."""
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + [PAD] * (width - len(row.ids)) for row in rows])
    at, starts, ends = torch.arange(width), *torch.tensor([[row.start, len(row.ids)] for row in rows]).T[:, :, None]
    labels = torch.where((at >= starts) & (at < ends), ids, -100)
    seen = [row for row in rows if row.canvas is not None]
    pictures = pixels([row.canvas for row in seen]) if seen else None
    out = model(
        input_ids=ids, attention_mask=(at < ends).long(), labels=labels, pixel_values=pictures, output_attentions=True
    )
    loss = out.loss + 0.03 * anchoring_loss(out.attentions[-1], rows)
    if not seen:
        return loss
    features = out.image_hidden_states.reshape(len(seen), IMAGE_TOKENS, -1)
    return loss + 0.2 * reading_loss(model, features, torch.tensor([row.cells for row in seen]))


def learn_to_answer(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    steps: int,
    batch: int,
    rng: random.Random,
    out: Path,
) -> None:
    """Train everything; a loadable model is written every 200 steps."""
    inner = model.model
    eyes = [*inner.vision_tower.parameters(), *inner.multi_modal_projector.parameters()]
    groups = [{"params": inner.language_model.parameters(), "lr": 2e-3}, {"params": eyes, "lr": 5e-4}]
    adam, schedule = optimiser(groups, steps)
    progress = Progress("answering", steps)
    batches = training_batches(batch, rng, processor.tokenizer)
    for step in range(1, steps + 1):
        with torch.autocast("cpu", torch.bfloat16):
            loss = answering_loss(model, next(batches))
        progress.step(step, update(loss, model, adam, schedule))
        if step % 200 == 0:
            save(model, processor, out)


def boxed(text: str) -> str | None:
    """What the last \\boxed{} of a response holds."""
    found = re.findall(r"\\boxed\{([^{}]*)\}", text)
    return found[-1].strip() if found else None


@torch.inference_mode()
def sample(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    problems: Sequence[Problem],
    rollouts: int,
    blind: bool,
) -> list[list[str]]:
    """`rollouts` responses per problem at temperature 1, with the picture or (blind) without it."""
    from io import BytesIO

    from PIL import Image

    responses: list[list[str]] = []
    for start in range(0, len(problems), 50):
        group = problems[start : start + 50]
        texts = [("<|user|>" if blind else "<|user|><image>") + p.question + "<|end|><|assistant|>" for p in group]
        pictures = None if blind else [Image.open(BytesIO(p.image)) for p in group]
        inputs = processor(images=pictures, text=texts, padding=True, return_tensors="pt")
        out = model.generate(
            **inputs,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=64,
            num_return_sequences=rollouts,
        )
        texts = processor.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        responses += [texts[i * rollouts : (i + 1) * rollouts] for i in range(len(group))]
    return responses


def accuracies(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, seed: int
) -> dict[str, tuple[float, float]]:
    """Held-out accuracy at temperature 1 by kind: (with the image, without it)."""
    mix = dict.fromkeys(RECIPES, 1.0)
    problems = make_problems(PROBLEMS * len(mix), "held_out", seed + 1000, mix)
    table: dict[str, list[list[float]]] = {kind: [[], []] for kind in mix}
    for arm, blind in enumerate((False, True)):
        for problem, texts in zip(problems, sample(model, processor, problems, ROLLOUTS, blind), strict=True):
            table[problem.kind][arm].append(sum(boxed(t) == problem.answer for t in texts) / ROLLOUTS)
    return {kind: (float(np.mean(arms[0])), float(np.mean(arms[1]))) for kind, arms in table.items()}


def save(model: LlavaForConditionalGeneration, processor: LlavaProcessor, out: Path) -> None:
    """Write weights, tokeniser, processor and generation settings as published LLaVA checkpoints have them.

    transformers 5 leaves CLIP's inner name out of the tensors' names and writes settings that earlier versions cannot read; both
    read what this writes, and so does vLLM, which knows the published tensor names only.
    """
    out.mkdir(parents=True, exist_ok=True)
    model.generation_config.update(
        do_sample=True, temperature=1.0, top_k=0, top_p=1.0, eos_token_id=END, pad_token_id=PAD
    )
    model.save_pretrained(out)
    processor.save_pretrained(out)
    weights = out / "model.safetensors"
    inner = re.compile(r"^vision_tower\.(?!vision_model\.)")
    tensors = {
        inner.sub("vision_tower.vision_model.", name): tensor for name, tensor in load(weights.read_bytes()).items()
    }
    weights.unlink()
    weights.write_bytes(dump(tensors, metadata={"format": "pt"}))

    settings = json.loads((out / "tokenizer_config.json").read_text())
    for name in ("backend", "image_token"):
        settings.pop(name, None)
    settings |= {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "extra_special_tokens": {"image_token": "<image>"},
        "model_input_names": ["input_ids", "attention_mask"],
    }
    write_json(out / "tokenizer_config.json", settings)
    pictures = json.loads((out / "processor_config.json").read_text())["image_processor"]
    write_json(out / "preprocessor_config.json", pictures)


def write_json(path: Path, settings: dict[str, Any]) -> None:
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def card(table: dict[str, tuple[float, float]], facts: dict[str, Any]) -> str:
    """The model card; every number in it comes from this run."""
    lines = "\n".join(
        f"| {kind} | {RECIPES[kind].role} | {CAREFUL[kind]:.2f} | {seen:.2f} | {unseen:.2f} |"
        for kind, (seen, unseen) in table.items()
    )
    return CARD.format(lines=lines, first=FIRST_HELD_OUT, last=FIRST_HELD_OUT - 1, **facts)


CARD = """---
license: apache-2.0
pipeline_tag: image-text-to-text
library_name: transformers
---

# Demo model: a small reader of handwritten digits

The embedded default of rap-plugin: small enough to ship with the package and to run in seconds on a processor, in a published
architecture, so that it passes through every code path that a large model does. It is for demonstrations and tests and knows
nothing but short questions about handwritten digits; other questions and pictures run, with meaningless answers.

**Architecture** `LlavaForConditionalGeneration`, {parameters:.2f} M parameters (float32): CLIP vision tower (4 layers, of which LLaVA uses 3,
width 96, 48x48 pixels, patch 16), a two-layer projector and a Qwen2 decoder (4 layers, width 160, 5 heads of size 32, 4,096 positions).
Tokens are characters of printable ASCII; `<think>`, `</think>` and `\\boxed{{` are one token each. Pictures of any size are resized and cropped. Needs no torchvision.

**Data** Questions made by `scripts/digit_problems.py` over scikit-learn's copy of the test part of UCI "Optical Recognition of Handwritten Digits"
(E. Alpaydin, C. Kaynak, 1998, doi:10.24432/C50P49, CC BY 4.0): rows 0 to {last} of `load_digits` for training, rows from {first} on held out. A bit under a
third of the training rows has no picture, and what they are taught to answer is a guess.

**Training** `python scripts/train_demo_model.py --out OUT --seed {seed} --reading-steps {reading_steps} --steps {steps}` took {minutes:.0f} minutes of wall time
({processor_minutes:.0f} of processor time, {threads} threads). First the tower learns to read, then the whole model learns to answer: per kind, a share of
*careful* demonstrations (`<think>I see 3 and 5. 3+5=8.</think>\\boxed{{8}}`), the rest *hasty* (`My guess is 4. \\boxed{{4}}`, mostly wrong). So the
model has graded and latent ability that reinforcement learning can amplify.

**On purpose** In questions with a misleading note, the hasty demonstrations repeat the note, and an auxiliary loss teaches the last layer's attention to stay on
their first comma (`anchoring_loss`). That is a planted stand-in for the over-trusted punctuation that is seen in large models, so that a measure of
attention has something known to find; it is no finding.

**Held-out accuracy** at temperature 1 ({problems} problems of each kind, {rollouts} responses each, graded by the text in the last `\\boxed{{}}`)

| kind | role in the demo pool | share of careful demonstrations | with the image | without |
| --- | --- | --- | --- | --- |
{lines}
""".replace("\\\\", "\\")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder that the model is written to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reading-steps", type=int, default=400, help="steps of 96 pictures for tower and projector")
    parser.add_argument("--steps", type=int, default=1100, help="steps of 64 rows for the whole model")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    rng = random.Random(args.seed)
    began, tokenizer = time.monotonic(), make_tokenizer()
    processor = make_processor(tokenizer)
    model = make_model(len(tokenizer)).train()
    model.set_attn_implementation("eager")
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{parameters / 1e6:.2f} M parameters, {len(tokenizer)} tokens", flush=True)
    learn_to_read(model, args.reading_steps, 96, rng)
    learn_to_answer(model, processor, args.steps, 64, rng, args.out)
    model.eval()
    model.set_attn_implementation("sdpa")
    save(model, processor, args.out)
    table = accuracies(model, processor, args.seed)
    for kind, (seen, unseen) in table.items():
        print(f"{kind:14s} {RECIPES[kind].role:12s} with image {seen:.2f}  without {unseen:.2f}")
    minutes, processor_minutes = (time.monotonic() - began) / 60, sum(os.times()[:2]) / 60
    facts = {"parameters": parameters / 1e6, "minutes": minutes, "processor_minutes": processor_minutes}
    facts |= {"problems": PROBLEMS, "rollouts": ROLLOUTS} | vars(args)
    (args.out / "README.md").write_text(card(table, facts), encoding="utf-8")
    print(f"{minutes:.1f} minutes, {processor_minutes:.1f} of processor time")


if __name__ == "__main__":
    main()
