"""Train the small model of the drawn geometry diagrams: a 1.8 M-parameter LLaVA with a gap between text and image.

    python scripts/train_diagram_model.py --out rap_plugin/modality_gap/model --seed 0

The parts are those of the demo model (`train_demo_model.py`): first the vision tower learns which label stands where, then the
whole model learns to answer. Demonstrations are *careful* (read the values, compute, box) or *hasty* (box a guess at once). Where the
facts stand in words most are careful; where they stand in the drawing alone most are hasty. So the model, sampled at temperature 1, solves
problems in words far more often than in drawings, and has in drawings a latent ability that reinforcement learning can amplify.
"""

import argparse
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load
from safetensors.torch import save as dump
from torch import nn
from train_demo_model import (
    ASSISTANT,
    END,
    IMAGE,
    INSTRUCTIONS,
    PAD,
    PATCH,
    USER,
    Progress,
    boxed,
    make_model,
    make_processor,
    make_tokenizer,
    optimiser,
    pixels,
    save,
    update,
)

from rap_plugin.modality_gap.diagrams import Diagram, figures, make_pool
from rap_plugin.modality_gap.drawing import RENDERINGS, STROKES, draw
from rap_plugin.modality_gap.figures import SIDE, Figure
from rap_plugin.samples.clauses import clauses_of
from rap_plugin.samples.conditions import LOOK, image_prompt, text_prompt

PATCHES = SIDE // PATCH
IMAGE_TOKENS = PATCHES**2
PHRASES = (
    LOOK, "answer the question: ", "m \\angle ", "\\parallel", "\\perp", "\\triangle", "\\odot", "lie on", "is on line",
    "Find the perimeter of", "Find x.",
)  # fmt: skip
"""What the prompts say again and again is one token each, which keeps them short."""

LABELS = [
    "",
    "x",
    *(name for name in STROKES if name.isalpha() and name != "x"),
    *map(str, range(1, 19)),
    *map(str, range(20, 161, 10)),
]
CAREFUL = {"text": 0.9, "image": 0.5, "bare": 0.5, "blind": 0.0}
"""Share of careful demonstrations by what the prompt shows."""
SHARES = {"text": 0.4, "image": 0.45, "bare": 0.08, "blind": 0.07}
"""Shares of the prompts among the training rows: `bare` is the question alone with its image, `blind` without."""
HASTY_RIGHT = 0.2
"""Share of the hasty demonstrations that is right."""
PROBLEMS, ROLLOUTS = 240, 4
FIRST_TRAINING_SEED = 1_000_000
"""Training figures are drawn from here on; pools with smaller seeds are held out."""


@dataclass(frozen=True)
class Page:
    """A figure drawn once: its picture (96, 96) uint8 and the label that stands in each patch."""

    figure: Figure
    picture: np.ndarray
    labels: list[int]


def patch_labels(figure: Figure) -> list[int]:
    """The label whose middle stands in each of the 36 patches, 0 for none."""
    out = [0] * IMAGE_TOKENS
    for label in figure.labels:
        out[int(label.y // PATCH) * PATCHES + int(label.x // PATCH)] = LABELS.index(label.text)
    return out


def draw_pages(count: int, seed: int) -> list[Page]:
    """`count` training figures, each in one rendering."""
    rng = random.Random(f"training {FIRST_TRAINING_SEED + seed}")
    pages = []
    for number, figure in zip(range(count), figures(rng), strict=False):
        picture = np.asarray(draw(figure, RENDERINGS[rng.choice(list(RENDERINGS))], number))
        pages.append(Page(figure, picture, patch_labels(figure)))
    return pages


def careful(figure: Figure) -> str:
    """The demonstration that reads the given values, then computes."""
    given = re.findall(r"= (\d+)", " ".join(figure.semantic))
    work = f"{figure.expression}={figure.answer}" if not figure.expression.isdigit() else f"x={figure.answer}"
    return f"<think>See {', '.join(given)}. {work}.</think>\\boxed{{{figure.answer}}}"


def hasty(figure: Figure, rng: random.Random) -> str:
    """The demonstration that boxes a value at once."""
    angle = "angle" in figure.kind or figure.kind == "right_triangle"
    values = list(range(30, 141, 10)) if angle else list(range(1, 20))
    right = rng.random() < HASTY_RIGHT
    guess = figure.answer if right else rng.choice([value for value in values if value != figure.answer])
    return f"My guess is {guess}. \\boxed{{{guess}}}"


@dataclass
class Row:
    """One supervised conversation: `ids` are supervised from `start` on."""

    ids: list[int]
    start: int
    page: Page | None


def training_row(
    page: Page,
    rng: random.Random,
    tokenizer: object,
    shares: Mapping[str, float] = SHARES,
    careful_shares: Mapping[str, float] = CAREFUL,
) -> Row:
    figure = page.figure
    shown = rng.choices(list(shares), list(shares.values()))[0]
    facts = clauses_of(figure.structural, figure.semantic)
    question = {
        "text": lambda: text_prompt(facts, figure.question),
        "image": lambda: image_prompt(figure.question),
        "bare": lambda: figure.question,
        "blind": lambda: rng.choice((image_prompt(figure.question), figure.question)),
    }[shown]()
    if rng.random() < 0.15:
        question += " " + rng.choices(INSTRUCTIONS, (4, 4, 3, 1, 1))[0]
    picture = [] if shown == "blind" else [IMAGE] * IMAGE_TOKENS
    prompt = [USER, *picture, *tokenizer.encode(question, add_special_tokens=False), END, ASSISTANT]
    text = careful(figure) if rng.random() < careful_shares[shown] else hasty(figure, rng)
    response = tokenizer.encode(text, add_special_tokens=False)
    return Row([*prompt, *response, END], len(prompt), page if picture else None)


def training_batches(
    pages: Sequence[Page], batch: int, rng: random.Random, tokenizer: object, make_row: Callable[..., Row]
) -> Iterator[list[Row]]:
    """Batches of rows of similar length: eight batches are drawn together and sorted."""
    while True:
        rows = [make_row(page, rng, tokenizer) for page in rng.choices(pages, k=8 * batch)]
        rows.sort(key=lambda row: len(row.ids))
        groups = [rows[i : i + batch] for i in range(0, len(rows), batch)]
        rng.shuffle(groups)
        yield from groups


def reading_loss(head: nn.Module, features: torch.Tensor, pages: Sequence[Page]) -> torch.Tensor:
    """How badly the projected patches (n, 36, d) say which label stands in them; empty patches weigh a tenth."""
    labels = torch.tensor([page.labels for page in pages])
    weight = torch.ones(len(LABELS))
    weight[0] = 0.1
    logits = head(features).flatten(0, 1).float()
    return nn.functional.cross_entropy(logits, labels.flatten(), weight=weight) + 0.02 * features.square().mean()


def learn_to_read(model, head: nn.Module, pages: Sequence[Page], steps: int, batch: int, rng: random.Random) -> None:
    """Teach tower and projector to read: far cheaper per picture than learning it through the decoder."""
    parts = nn.ModuleList([model.model.vision_tower, model.model.multi_modal_projector, head])
    adam, schedule = optimiser([{"params": parts.parameters(), "lr": 2e-3}], steps)
    progress = Progress("reading", steps)
    for step in range(1, steps + 1):
        chosen = rng.choices(pages, k=batch)
        seen = pixels([page.picture for page in chosen])
        tower = model.model.vision_tower(seen, output_hidden_states=True).hidden_states[-2][:, 1:]
        loss = reading_loss(head, model.model.multi_modal_projector(tower), chosen)
        progress.step(step, update(loss, parts, adam, schedule))


@torch.inference_mode()
def reading_accuracy(model, head: nn.Module, pages: Sequence[Page]) -> float:
    """Share of the labels that are read right."""
    tower = model.model.vision_tower(pixels([p.picture for p in pages]), output_hidden_states=True).hidden_states[-2]
    read = head(model.model.multi_modal_projector(tower[:, 1:])).argmax(-1)
    labels = torch.tensor([page.labels for page in pages])
    return float((read == labels)[labels > 0].float().mean())


def answering_loss(model, head: nn.Module, rows: Sequence[Row]) -> torch.Tensor:
    """Next-token loss on the responses, right-padded, plus what keeps the tower reading."""
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + [PAD] * (width - len(row.ids)) for row in rows])
    at, starts, ends = torch.arange(width), *torch.tensor([[row.start, len(row.ids)] for row in rows]).T[:, :, None]
    labels = torch.where((at >= starts) & (at < ends), ids, -100)
    pages = [row.page for row in rows if row.page is not None]
    pictures = pixels([page.picture for page in pages]) if pages else None
    out = model(input_ids=ids, attention_mask=(at < ends).long(), labels=labels, pixel_values=pictures)
    if not pages:
        return out.loss
    features = out.image_hidden_states.reshape(len(pages), IMAGE_TOKENS, -1)
    return out.loss + 0.2 * reading_loss(head, features, pages)


def learn_to_answer(
    model,
    head: nn.Module,
    processor,
    pages: Sequence[Page],
    steps: int,
    batch: int,
    rng: random.Random,
    out: Path,
    make_row: Callable[..., Row] = training_row,
) -> None:
    """Train everything on `make_row(page, rng, tokenizer)`; a loadable model is written every 200 steps."""
    inner = model.model
    eyes = [*inner.vision_tower.parameters(), *inner.multi_modal_projector.parameters(), *head.parameters()]
    adam, schedule = optimiser(
        [{"params": inner.language_model.parameters(), "lr": 2e-3}, {"params": eyes, "lr": 5e-4}], steps
    )
    progress = Progress("answering", steps)
    batches = training_batches(pages, batch, rng, processor.tokenizer, make_row)
    for step in range(1, steps + 1):
        loss = answering_loss(model, head, next(batches))
        progress.step(step, update(loss, model, adam, schedule))
        if step % 200 == 0:
            save(model, processor, out)


@torch.inference_mode()
def sample(model, processor, pool: Sequence[Diagram], condition: str, rollouts: int, rendering: str) -> list[list[str]]:
    """`rollouts` responses per problem at temperature 1."""
    from io import BytesIO

    from PIL import Image

    responses: list[list[str]] = []
    for start in range(0, len(pool), 50):
        group = pool[start : start + 50]
        asked = [d.text_prompt if condition == "text" else d.image_prompt for d in group]
        texts = [
            ("<|user|>" if condition == "blind" else "<|user|><image>") + q + "<|end|><|assistant|>" for q in asked
        ]
        pictures = None if condition == "blind" else [Image.open(BytesIO(d.images[rendering])) for d in group]
        inputs = processor(images=pictures, text=texts, padding=True, return_tensors="pt")
        out = model.generate(
            **inputs, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=64, num_return_sequences=rollouts
        )  # fmt: skip
        said = processor.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        responses += [said[i * rollouts : (i + 1) * rollouts] for i in range(len(group))]
    return responses


def accuracies(model, processor, count: int, rollouts: int = 4) -> dict[str, dict[str, float]]:
    """Held-out accuracy at temperature 1 by condition and rendering, then by kind (the last two renderings left out)."""
    pool = make_pool(count, seed=900_000)
    table: dict[str, dict[str, float]] = {}
    for name, condition, rendering in (
        ("text", "text", "plain"),
        *((f"image, {r}", "image", r) for r in RENDERINGS),
        ("no image", "blind", "plain"),
    ):
        kinds: dict[str, list[float]] = defaultdict(list)
        for problem, texts in zip(pool, sample(model, processor, pool, condition, rollouts, rendering), strict=True):
            kinds[problem.kind].append(sum(boxed(t) == problem.answer for t in texts) / rollouts)
        every = [share for shares in kinds.values() for share in shares]
        table[name] = {"all": float(np.mean(every))} | {k: float(np.mean(v)) for k, v in sorted(kinds.items())}
    return table


def halve(out: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Weights in two bytes each; the configuration still asks for float32, into which they are read."""
    weights = out / "model.safetensors"
    tensors = {name: tensor.to(dtype) for name, tensor in load(weights.read_bytes()).items()}
    weights.write_bytes(dump(tensors, metadata={"format": "pt"}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder that the model is written to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pages", type=int, default=16_000, help="training figures, each drawn once")
    parser.add_argument("--reading-steps", type=int, default=900, help="steps of 64 pictures for tower and projector")
    parser.add_argument(
        "--steps", type=int, nargs="+", default=[600, 700], help="steps for the whole model, a learning-rate cycle each"
    )
    parser.add_argument("--batch", type=int, default=32, help="rows of a step")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    began, tokenizer = time.monotonic(), make_tokenizer(PHRASES)
    processor = make_processor(tokenizer, SIDE)
    model = make_model(len(tokenizer), SIDE).train()
    head = nn.Linear(model.config.text_config.hidden_size, len(LABELS))
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{parameters / 1e6:.2f} M parameters, {len(tokenizer)} tokens", flush=True)
    pages = draw_pages(args.pages, args.seed)
    print(f"drew {len(pages)} figures in {time.monotonic() - began:.0f} s", flush=True)
    read = args.out.with_name(f"{args.out.name}.reading-{args.seed}-{args.reading_steps}.pt")
    if read.is_file():
        model_state, head_state = torch.load(read, weights_only=True)
        model.load_state_dict(model_state)
        head.load_state_dict(head_state)
    else:
        learn_to_read(model, head, pages, args.reading_steps, 64, random.Random(f"reading {args.seed}"))
        torch.save((model.state_dict(), head.state_dict()), read)
    print(f"labels read right, held out: {reading_accuracy(model, head, draw_pages(300, 7)):.3f}", flush=True)
    for number, steps in enumerate(args.steps):
        learn_to_answer(
            model, head, processor, pages, steps, args.batch, random.Random(f"answering {args.seed} {number}"), args.out
        )
    model.eval()
    save(model, processor, args.out)
    halve(args.out)
    minutes, processor_minutes = (time.monotonic() - began) / 60, time.process_time() / 60
    print(f"{minutes:.1f} minutes, {processor_minutes:.1f} of processor time", flush=True)
    table = accuracies(model, processor, PROBLEMS, ROLLOUTS)
    (args.out / "README.md").write_text(card(table, parameters, args), encoding="utf-8")
    print(lines_of(table))


def lines_of(table: dict[str, dict[str, float]]) -> str:
    """Accuracies as a Markdown table: one line per kind, one column per prompt and rendering."""
    head = ["kind", *table]
    kinds = list(next(iter(table.values())))
    rows = [[kind, *(f"{table[column][kind]:.2f}" for column in table)] for kind in kinds]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def card(table: dict[str, dict[str, float]], parameters: int, args: argparse.Namespace) -> str:
    """The model card; every accuracy in it was measured."""
    return CARD.format(
        lines=lines_of(table), parameters=parameters / 1e6, problems=PROBLEMS, rollouts=ROLLOUTS, seed=args.seed,
        reading=args.reading_steps, steps=" ".join(map(str, args.steps)), **{k: CAREFUL[k] for k in ("text", "image")},
    )  # fmt: skip


CARD = """---
license: apache-2.0
pipeline_tag: image-text-to-text
library_name: transformers
---

# A small reader of drawn geometry diagrams, with a modality gap

For tests and the proof of the modality-gap system of rap-plugin, in a published architecture. It knows the diagrams of
`rap_plugin.modality_gap.make_pool` and nothing else.

**Architecture** `LlavaForConditionalGeneration`, {parameters:.2f} M parameters (bfloat16 on disk, read as float32): CLIP vision tower on 96x96 pixels
(patch 16), a two-layer projector and a Qwen2 decoder (4 layers, width 160). Tokens are characters; a few phrases of the prompts are one token each.

**Training** `python scripts/train_diagram_model.py --out OUT --seed {seed} --reading-steps {reading} --steps {steps}`: first the tower learns which label stands
where, then the whole model learns to answer, from *careful* demonstrations (`<think>See 40, 60. 180-40-60=80.</think>\\boxed{{80}}`) and *hasty* ones (a guess at
once, mostly wrong). Careful are {text:.0%} where the facts stand in words and {image:.0%} where they stand in the drawing alone. So the gap is there on purpose,
and drawings are a latent ability that reinforcement learning can amplify.

**Held-out accuracy** at temperature 1 ({problems} problems, {rollouts} responses each; `text` has the plain drawing beside it)

{lines}
""".replace("\\\\", "\\")


if __name__ == "__main__":
    main()
