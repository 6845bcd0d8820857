"""Teach the demo model to look again: digit scenes whose digits only a crop can show (`rap_plugin.vlm_r3.scenes`).

    python scripts/train_region_model.py --out rap_plugin/vlm_r3/model --seed 0

The demo model's tower first learns where coloured frames stand, then the whole model learns interleaved turns: a box, its crop inside
the same turn, what the crop shows, the answer. A share of the demonstrations guesses at once (`HASTY`), so that the model, sampled at
temperature 1, answers wrong often enough for R-GRPO (`benchmarks/region_reasoning.py`) to have something to amplify.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from train_demo_model import (
    ASSISTANT,
    CANVAS,
    CELLS,
    EMPTY,
    END,
    IMAGE,
    IMAGE_TOKENS,
    PAD,
    USER,
    Progress,
    make_processor,
    make_tokenizer,
    optimiser,
    reading_loss,
    save,
    update,
)
from train_diagram_model import halve
from transformers import LlavaForConditionalGeneration

from rap_plugin.demo import MODEL_DIR as DEMO_MODEL
from rap_plugin.vlm_r3.coordinates import Frame, to_corners
from rap_plugin.vlm_r3.crops import EVALUATION, crop
from rap_plugin.vlm_r3.settings import instruction
from rap_plugin.vlm_r3.scenes import CELL, COLOURS, GRID, SIDE, Scene, make_scenes

FRAME = Frame("normalised", 1)
ASKED = instruction(FRAME.scale)
"""What stands behind the question where nothing else is wished."""
PHRASES = ('{"bbox_2d": [', "]}", "<answer>", "</answer>", ASKED)
"""What every turn says again and again is one token each, which keeps turns short."""
HASTY = 0.4
"""Share of demonstrations that guess without a look."""
HASTY_RIGHT = 0.1
CENTRE = CELLS // 2
PER_PATCH = GRID // 3
"""Cells of a scene along one side of a patch."""


@dataclass(frozen=True)
class View:
    """A scene as the model sees it: itself and the crops of its boxes, each (48, 48, 3) uint8."""

    scene: Scene
    whole: np.ndarray
    crops: list[np.ndarray]
    frames: dict[str, int]
    """The cell of each colour's frame that the question names."""


def seen(image) -> np.ndarray:
    """What the image processor makes of a picture."""
    return np.asarray(image.resize((CANVAS, CANVAS), 3))


def views(scenes: Sequence[Scene]) -> list[View]:
    out = []
    for scene in scenes:
        image = scene.open()
        named = sorted(COLOURS, key=scene.question.find)
        named = [colour for colour in named if colour in scene.question]
        cells = [box[1] // CELL * GRID + box[0] // CELL for box in scene.boxes]
        crops = [seen(crop(image, box, EVALUATION, FRAME.factor)) for box in scene.boxes]
        out.append(View(scene, seen(image), crops, dict(zip(named, cells, strict=True))))
    return out


def patch_labels(view: View, colour: str) -> list[int]:
    """For each of the nine patches the place (1..9) of the colour's frame in it, 0 for none, -100 where it is not known."""
    if colour not in view.frames:
        return [-100] * CELLS
    row, column = divmod(view.frames[colour], GRID)
    out = [0] * CELLS
    out[row // PER_PATCH * 3 + column // PER_PATCH] = 1 + row % PER_PATCH * PER_PATCH + column % PER_PATCH
    return out


def box_json(scene: Scene, number: int) -> str:
    corners = to_corners(FRAME, scene.boxes[number], (SIDE, SIDE))
    return '{"bbox_2d": [' + ", ".join(map(str, corners)) + "]}"


def looking(scene: Scene, rng: random.Random) -> list[str]:
    """The segments of a turn with a crop between each two."""
    parts = ["<think>" + box_json(scene, 0)]
    for number, digit in enumerate(scene.seen):
        last = number == len(scene.seen) - 1
        parts.append(f"I see {digit}. " + (f"</think><answer>{scene.answer}</answer>" if last else box_json(scene, number + 1)))
    return parts


def direct(scene: Scene, rng: random.Random) -> list[str]:
    """The answer alone."""
    return [f"<answer>{scene.answer}</answer>"]


def mixed(scene: Scene, rng: random.Random) -> list[str]:
    """A look, or (`HASTY`) a guess that is mostly wrong."""
    if rng.random() >= HASTY:
        return looking(scene, rng)
    right = rng.random() < HASTY_RIGHT
    guess = scene.answer if right else rng.choice([d for d in "0123456789" if d != scene.answer])
    return [f"My guess is {guess}. <answer>{guess}</answer>"]


Demonstrate = Callable[[Scene, random.Random], list[str]]


@dataclass
class Row:
    """One supervised conversation; `learned` says which tokens the model is to write itself."""

    ids: list[int]
    learned: list[bool]
    images: list[np.ndarray]
    view: View


def training_row(view: View, demonstrate: Demonstrate, rng: random.Random, tokenizer) -> Row:
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False)  # noqa: E731
    image = [IMAGE] * IMAGE_TOKENS
    question = view.scene.question + (f" {ASKED}" if rng.random() < 0.5 else "")
    prompt = [USER, *image, *encode(question), END, ASSISTANT]
    ids, learned, images = list(prompt), [False] * len(prompt), [view.whole]
    parts = demonstrate(view.scene, rng)
    for number, part in enumerate(parts):
        if number:
            ids += image
            learned += [False] * len(image)
            images.append(view.crops[number - 1])
        said = encode(part) + ([END] if number == len(parts) - 1 else [])
        ids += said
        learned += [True] * len(said)
    return Row(ids, learned, images, view)


def pixels(pictures: Sequence[np.ndarray]) -> torch.Tensor:
    """(n, 3, 48, 48) float32 in [-1, 1]."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def seeing_loss(model, head: nn.Module, features: torch.Tensor, shown: Sequence[tuple[View, int]]) -> torch.Tensor:
    """How badly the patches (n, 9, d) tell where the frames stand in whole scenes, and which digit stands in crops.

    `shown` says of each picture which view it is of, and which crop (-1 for the scene itself).
    """
    whole = [at for at, (_, number) in enumerate(shown) if number < 0]
    labels = torch.tensor([[patch_labels(shown[at][0], colour) for colour in COLOURS] for at in whole])
    logits = head(features[whole]).float().view(len(whole), CELLS, len(COLOURS), -1).permute(0, 2, 1, 3)
    weight = torch.tensor([0.2] + [1.0] * PER_PATCH**2)
    loss = nn.functional.cross_entropy(logits.flatten(0, 2), labels.flatten(), weight=weight)
    crops = [at for at, (_, number) in enumerate(shown) if number >= 0]
    if crops:
        cells = torch.full((len(crops), CELLS), EMPTY)
        cells[:, CENTRE] = torch.tensor([shown[at][0].scene.seen[shown[at][1]] for at in crops])
        loss = loss + reading_loss(model, features[crops], cells)
    return loss


def learn_to_see(model, head: nn.Module, pool: Sequence[View], steps: int, batch: int, rng: random.Random) -> None:
    """Tower and projector learn where frames stand, and keep reading digits."""
    parts = nn.ModuleList([model.model.vision_tower, model.model.multi_modal_projector, head])
    adam, schedule = optimiser([{"params": parts.parameters(), "lr": 1e-3}], steps)
    progress = Progress("seeing", steps, every=20)
    for step in range(1, steps + 1):
        chosen = rng.choices(pool, k=batch)
        shown = [(view, -1) for view in chosen] + [(view, 0) for view in chosen[: batch // 2]]
        pictures = pixels([view.whole if number < 0 else view.crops[number] for view, number in shown])
        with torch.autocast("cpu", torch.bfloat16):
            tower = model.model.vision_tower(pictures, output_hidden_states=True).hidden_states[-2][:, 1:]
            loss = seeing_loss(model, head, model.model.multi_modal_projector(tower), shown)
        progress.step(step, update(loss, parts, adam, schedule))


def training_batches(
    pool: Sequence[View], demonstrate: Demonstrate, batch: int, rng: random.Random, tokenizer
) -> Iterator[list[Row]]:
    """Batches of rows of similar length: eight batches are drawn together and sorted."""
    while True:
        rows = [training_row(view, demonstrate, rng, tokenizer) for view in rng.choices(pool, k=8 * batch)]
        rows.sort(key=lambda row: len(row.ids))
        groups = [rows[i : i + batch] for i in range(0, len(rows), batch)]
        rng.shuffle(groups)
        yield from groups


def answering_loss(model, head: nn.Module, rows: Sequence[Row]) -> torch.Tensor:
    """Next-token loss on what the model is to write, right-padded, plus what keeps the tower seeing."""
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + [PAD] * (width - len(row.ids)) for row in rows])
    learned = torch.tensor([row.learned + [False] * (width - len(row.ids)) for row in rows])
    ends = torch.tensor([len(row.ids) for row in rows])[:, None]
    out = model(
        input_ids=ids, attention_mask=(torch.arange(width) < ends).long(), labels=torch.where(learned, ids, -100),
        pixel_values=pixels([image for row in rows for image in row.images]),
    )  # fmt: skip
    shown = [(row.view, number - 1) for row in rows for number in range(len(row.images))]
    features = out.image_hidden_states.reshape(len(shown), IMAGE_TOKENS, -1)
    return out.loss + 0.1 * seeing_loss(model, head, features, shown)


def learn_to_answer(
    model, head: nn.Module, tokenizer, pool: Sequence[View], demonstrate: Demonstrate, steps: int, batch: int, rng
) -> None:
    inner = model.model
    eyes = [*inner.vision_tower.parameters(), *inner.multi_modal_projector.parameters(), *head.parameters()]
    groups = [{"params": inner.language_model.parameters(), "lr": 1.5e-3}, {"params": eyes, "lr": 5e-4}]
    adam, schedule = optimiser(groups, steps)
    progress = Progress("answering", steps, every=20)
    batches = training_batches(pool, demonstrate, batch, rng, tokenizer)
    for step in range(1, steps + 1):
        with torch.autocast("cpu", torch.bfloat16):
            loss = answering_loss(model, head, next(batches))
        progress.step(step, update(loss, model, adam, schedule))


def load_base():
    """The demo model with a token for each of `PHRASES`, and its processor."""
    tokenizer = make_tokenizer(PHRASES)
    model = LlavaForConditionalGeneration.from_pretrained(DEMO_MODEL, dtype=torch.float32)
    words = model.get_input_embeddings().weight.detach()
    characters = make_tokenizer()
    new = [words[characters.encode(phrase, add_special_tokens=False)].mean(0) for phrase in PHRASES]
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        model.get_input_embeddings().weight[-len(PHRASES) :] = torch.stack(new)
    return model, make_processor(tokenizer)


def supervise(out: Path, seed: int, demonstrate: Demonstrate, scenes: int, seeing: int, steps: int) -> None:
    """Writes the model after supervised fine-tuning."""
    torch.manual_seed(seed)
    rng = random.Random(f"regions {seed}")
    model, processor = load_base()
    model.train()
    head = nn.Linear(model.config.text_config.hidden_size, len(COLOURS) * (1 + PER_PATCH**2))
    pool = views(make_scenes(scenes, "train", seed))
    learn_to_see(model, head, pool, seeing, 64, rng)
    learn_to_answer(model, head, processor.tokenizer, pool, demonstrate, steps, 32, rng)
    model.eval()
    save(model, processor, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder that the model is written to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--direct", action="store_true", help="teach the answer alone, without a look: the baseline")
    parser.add_argument("--scenes", type=int, default=3000)
    parser.add_argument("--seeing-steps", type=int, default=300, help="steps of 64 scenes for tower and projector")
    parser.add_argument("--steps", type=int, default=400, help="steps of 32 rows for the whole model")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    began = time.monotonic()
    supervise(args.out, args.seed, direct if args.direct else mixed, args.scenes, args.seeing_steps, args.steps)
    halve(args.out)
    minutes, processor_minutes = (time.monotonic() - began) / 60, time.process_time() / 60
    print(f"{minutes:.1f} minutes, {processor_minutes:.1f} of processor time")


if __name__ == "__main__":
    main()
