"""Teach the demo model to look again: digit scenes whose digits only a crop can show (`rap_plugin.vlm_r3.scenes`).

    python scripts/train_region_model.py --out first --scenes 1200 --seeing-steps 240 --steps 160
    python scripts/train_region_model.py --out supervised --taught first --scenes 1500 --seeing-steps 120 --steps 280
    python scripts/train_region_model.py --out rap_plugin/vlm_r3/model --from supervised

The demo model's tower first learns where frames stand, then the whole model learns interleaved turns: a box, its crop inside
the same turn, what the crop shows, the answer. A share of the demonstrations guesses at once (`HASTY`), so that the model, sampled at
temperature 1, answers wrong often enough for R-GRPO to have something to amplify: that is the last command, with the package's own
trainer. `benchmarks/region_reasoning.py` measures what came out.
"""

import argparse
import json
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
    DIGITS_AND_SPACE,
    EMPTY,
    END,
    IMAGE,
    IMAGE_TOKENS,
    PAD,
    USER,
    VOCABULARY,
    Progress,
    make_processor,
    make_tokenizer,
    optimiser,
    save,
    update,
)
from train_diagram_model import halve
from transformers import LlavaForConditionalGeneration, TrainerCallback

from rap_plugin.demo import MODEL_DIR as DEMO_MODEL
from rap_plugin.vlm_r3.coordinates import Frame, to_corners
from rap_plugin.vlm_r3.crops import EVALUATION, crop
from rap_plugin.vlm_r3.loop import LoopOptions
from rap_plugin.vlm_r3.scenes import CELL, GRID, SIDE, Scene, cell_box, make_scenes
from rap_plugin.vlm_r3.settings import instruction

FRAME = Frame("normalised", 1)
ASKED = instruction(FRAME.scale)
"""What stands behind the question where nothing else is wished."""
BOXES = tuple(
    json.dumps({"bbox_2d": list(to_corners(FRAME, cell_box(cell), (SIDE, SIDE)))}) for cell in range(GRID * GRID)
)
PHRASES = ("<answer>", "</answer>", ASKED, *BOXES)
"""What every turn says again and again is one token each, which keeps turns short: the boxes of the cells too."""

FIRST_BOX = len(VOCABULARY) + PHRASES.index(BOXES[0])
WORDS = [*DIGITS_AND_SPACE, *range(FIRST_BOX, FIRST_BOX + len(BOXES))]
"""What a patch can say: a digit, nothing, or the box of a cell."""
HASTY = 0.4
"""Share of demonstrations that guess without a look."""
HASTY_RIGHT = 0.1
PROMPTS, ROLLOUTS = 16, 6
"""Of one step of R-GRPO."""
CENTRE = CELLS // 2
QUIET = torch.ones(len(WORDS)).index_fill(0, torch.tensor(EMPTY), 0.2)
"""Empty patches are many and weigh less."""
PER_PATCH = GRID // 3
"""Cells of a scene along one side of a patch."""


@dataclass(frozen=True)
class View:
    """A scene as the model sees it: itself and the crops of its boxes, each (48, 48, 3) uint8."""

    scene: Scene
    whole: np.ndarray
    crops: list[np.ndarray]


def seen(image) -> np.ndarray:
    """What the image processor makes of a picture."""
    return np.asarray(image.resize((CANVAS, CANVAS), 3))


def views(scenes: Sequence[Scene]) -> list[View]:
    out = []
    for scene in scenes:
        image = scene.open()
        crops = [seen(crop(image, box, EVALUATION, FRAME.factor)) for box in scene.boxes]
        out.append(View(scene, seen(image), crops))
    return out


def patch_labels(view: View, number: int) -> list[int]:
    """What each of the nine patches says, an index into `WORDS`.

    `number` is which crop it is, -1 for the whole scene: there a patch with a frame says the box of the frame's cell.
    """
    words = [EMPTY] * CELLS
    if number >= 0:
        words[CENTRE] = view.scene.seen[number]
        return words
    for left, top, _, _ in view.scene.boxes:
        row, column = top // CELL, left // CELL
        words[row // PER_PATCH * 3 + column // PER_PATCH] = EMPTY + 1 + row * GRID + column
    return words


def box_json(scene: Scene, number: int) -> str:
    left, top = scene.boxes[number][:2]
    return BOXES[top // CELL * GRID + left // CELL]


def looking(scene: Scene, rng: random.Random) -> list[str]:
    """The segments of a turn with a crop between each two."""
    parts = ["<think>I see " + box_json(scene, 0)]
    for number, digit in enumerate(scene.seen):
        last = number == len(scene.seen) - 1
        rest = f"</think><answer>{scene.answer}</answer>" if last else "I see " + box_json(scene, number + 1)
        parts.append(f"It is {digit}. {rest}")
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


def seeing_loss(model, features: torch.Tensor, shown: Sequence[tuple[View, int]]) -> torch.Tensor:
    """How badly the projected patches (n, 9, d) say what stands in them.

    As in the demo model's `reading_loss`, a patch is right when it points at the decoder's embedding of what it says, with about that
    embedding's length: so the decoder finds a frame's box as it finds a digit. `shown` says of each picture what `patch_labels` takes.
    """
    labels = torch.tensor([patch_labels(view, number) for view, number in shown]).flatten()
    words = model.get_input_embeddings().weight[WORDS].detach()
    logits = 10.0 * nn.functional.normalize(features, dim=-1) @ nn.functional.normalize(words, dim=-1).T
    length = (features.norm(dim=-1) - words.norm(dim=-1).mean()) ** 2
    said = nn.functional.cross_entropy(logits.flatten(0, 1).float(), labels, weight=QUIET)
    return said + 0.1 * length.mean()


def learn_to_see(model, pool: Sequence[View], steps: int, batch: int, rng: random.Random) -> None:
    """Tower and projector learn where frames stand, and keep reading digits."""
    parts = nn.ModuleList([model.model.vision_tower, model.model.multi_modal_projector])
    adam, schedule = optimiser([{"params": parts.parameters(), "lr": 1e-3}], steps)
    progress = Progress("seeing", steps, every=20)
    for step in range(1, steps + 1):
        chosen = rng.choices(pool, k=batch)
        shown = [(view, -1) for view in chosen] + [(view, 0) for view in chosen[: batch // 2]]
        pictures = pixels([view.whole if number < 0 else view.crops[number] for view, number in shown])
        with torch.autocast("cpu", torch.bfloat16):
            tower = model.model.vision_tower(pictures, output_hidden_states=True).hidden_states[-2][:, 1:]
            loss = seeing_loss(model, model.model.multi_modal_projector(tower), shown)
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


def answering_loss(model, rows: Sequence[Row]) -> torch.Tensor:
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
    return out.loss + 0.2 * seeing_loss(model, features, shown)


def learn_to_answer(
    model, tokenizer, pool: Sequence[View], demonstrate: Demonstrate, steps: int, batch: int, rng
) -> None:
    inner = model.model
    eyes = [*inner.vision_tower.parameters(), *inner.multi_modal_projector.parameters()]
    groups = [{"params": inner.language_model.parameters(), "lr": 1.5e-3}, {"params": eyes, "lr": 5e-4}]
    adam, schedule = optimiser(groups, steps)
    progress = Progress("answering", steps, every=20)
    batches = training_batches(pool, demonstrate, batch, rng, tokenizer)
    for step in range(1, steps + 1):
        with torch.autocast("cpu", torch.bfloat16):
            loss = answering_loss(model, next(batches))
        progress.step(step, update(loss, model, adam, schedule))


def load_base():
    """The demo model with a token for each of `PHRASES`, and its processor."""
    tokenizer = make_tokenizer(PHRASES)
    model = LlavaForConditionalGeneration.from_pretrained(DEMO_MODEL, dtype=torch.float32)
    words = model.get_input_embeddings().weight.detach()
    characters = make_tokenizer()
    new = [words[characters.encode(phrase, add_special_tokens=False)].mean(0) for phrase in PHRASES[: -len(BOXES)]]
    boxes = torch.randn(len(BOXES), words.shape[1])  # their characters are too alike to tell them apart
    new += [*(boxes / boxes.norm(dim=1, keepdim=True) * words[DIGITS_AND_SPACE].norm(dim=1).mean())]
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        model.get_input_embeddings().weight[-len(PHRASES) :] = torch.stack(new)
    return model, make_processor(tokenizer)


def supervise(
    out: Path, seed: int, demonstrate: Demonstrate, scenes: int, seeing: int, steps: int, taught: Path | None = None
) -> None:
    """Writes the model after supervised fine-tuning, of the demo model or of one that was `taught` before."""
    torch.manual_seed(seed)
    rng = random.Random(f"regions {seed} {taught is not None}")
    model, processor = load_base()
    if taught is not None:
        model = LlavaForConditionalGeneration.from_pretrained(taught, dtype=torch.float32)
    model.train()
    pool = views(make_scenes(scenes, "train", seed))
    learn_to_see(model, pool, seeing, 64, rng)
    learn_to_answer(model, processor.tokenizer, pool, demonstrate, steps, 32, rng)
    model.eval()
    save(model, processor, out)


def reinforce(start: Path, out: Path, seed: int, steps: int, scenes: int = 1500) -> list[dict[str, float]]:
    """Writes the model after R-GRPO; returns what the trainer logged, one entry a step."""
    import datasets
    from transformers import AutoProcessor, PrinterCallback
    from trl import GRPOConfig

    from rap_plugin.trl_hooks.region_rewards import region_reward
    from rap_plugin.trl_hooks.region_trainer import RegionGRPOTrainer, RegionRollouts

    torch.manual_seed(seed)
    pool = make_scenes(scenes, "train", 1000 + seed)
    rows = datasets.Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": scene.question + (f" {ASKED}" if number % 2 else "")}],
                "image": {"bytes": scene.image, "path": None},
                "answer": scene.answer,
            }
            for number, scene in enumerate(pool)
        ]
    ).cast_column("image", datasets.Image())
    processor = AutoProcessor.from_pretrained(start)
    model = LlavaForConditionalGeneration.from_pretrained(start, dtype=torch.float32)
    # The few rewards of a step are noise to what sees: it would read digits worse after every step.
    model.model.vision_tower.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(False)
    trainer = RegionGRPOTrainer(
        model=model,
        reward_funcs=[region_reward("released")],
        args=GRPOConfig(
            output_dir=str(out), per_device_train_batch_size=PROMPTS * ROLLOUTS, num_generations=ROLLOUTS, max_steps=steps,
            max_completion_length=96, temperature=1.0, learning_rate=1e-4, lr_scheduler_type="constant", beta=0.0,
            use_cpu=True, bf16=False, gradient_checkpointing=False, logging_steps=1, save_strategy="no", report_to="none",
            disable_tqdm=True, seed=seed,
        ),
        train_dataset=rows,
        processing_class=processor,
        rollouts=RegionRollouts(loop=LoopOptions(max_new_tokens=96, max_segments=4)),
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(OneLine())
    trainer.train()
    trainer.model.eval()
    save(trainer.model, processor, out)
    return trainer.state.log_history


class OneLine(TrainerCallback):
    """Prints what a step of R-GRPO did."""

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if "reward" not in (logs or {}):  # the summary at the end
            return
        shown = {name: logs.get(f"region_reward/{name}") for name in ("accuracy", "format", "region")}
        words = "  ".join(f"{name} {value:.2f}" for name, value in shown.items() if value is not None)
        print(
            f"R-GRPO {state.global_step}/{state.max_steps}  {words}  looks {logs.get('regions/looks', 0):.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder that the model is written to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--from", dest="start", type=Path, help="a supervised model: go on with R-GRPO instead")
    parser.add_argument("--grpo-steps", type=int, default=45, help=f"steps of {PROMPTS} prompts x {ROLLOUTS} responses")
    parser.add_argument("--taught", type=Path, help="teach this model further instead of the demo model")
    parser.add_argument("--direct", action="store_true", help="teach the answer alone, without a look: the baseline")
    parser.add_argument("--scenes", type=int, default=3000)
    parser.add_argument("--seeing-steps", type=int, default=300, help="steps of 64 scenes for tower and projector")
    parser.add_argument("--steps", type=int, default=240, help="steps of 32 rows for the whole model")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    began = time.monotonic()
    if args.start:
        reinforce(args.start, args.out, args.seed, args.grpo_steps)
    else:
        supervise(
            args.out,
            args.seed,
            direct if args.direct else mixed,
            args.scenes,
            args.seeing_steps,
            args.steps,
            args.taught,
        )
    halve(args.out)
    minutes, processor_minutes = (time.monotonic() - began) / 60, time.process_time() / 60
    print(f"{minutes:.1f} minutes, {processor_minutes:.1f} of processor time")


if __name__ == "__main__":
    main()
