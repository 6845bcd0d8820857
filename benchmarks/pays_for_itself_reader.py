"""The base of the proof's second pool: the shipped reader of diagrams, supervised for longer.

    python benchmarks/pays_for_itself_reader.py reader      # about 15 minutes on one core

`diagram_reader` beside this file is what it wrote once, so that every seed of the proof starts from one model.

The shipped model believes words and reads one drawing in six, and without a picture it does not understand the facts in words: nothing of that is
a base on which to ask whether rows that need the image are worth more. This one reads a third of the drawings at temperature 1, and what words give away
it answers as well without the picture. Demonstrations are `train_diagram_model.py`'s, with other shares: fewer careful ones for words, more drawings,
and facts in words without a picture.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import torch
import train_diagram_model as diagrams
from torch import nn

from rap_plugin.modality_gap.diagrams import MODEL_DIR

STEPS, BATCH, PAGES, HEAD_STEPS = 1800, 32, 20_000, 150
FIRST_PAGE = 11
"""Seed of the figures; pool and test problems come from another stream."""
CAREFUL = {"text": 0.75, "image": 0.45, "bare": 0.5, "blind": 0.0}
SHARES = {"text": 0.17, "image": 0.73, "bare": 0.05, "blind": 0.05}
TOLD_BLIND = 0.08
"""Share of rows with the facts in words and no picture."""


def told_without_picture(page: diagrams.Page, rng: random.Random, tokenizer: object) -> diagrams.Row:
    """A row that answers from words alone."""
    figure = page.figure
    question = diagrams.text_prompt(diagrams.clauses_of(figure.structural, figure.semantic), figure.question)
    prompt = [diagrams.USER, *_ids(tokenizer, question), diagrams.END, diagrams.ASSISTANT]
    text = diagrams.careful(figure) if rng.random() < CAREFUL["text"] else diagrams.hasty(figure, rng)
    return diagrams.Row([*prompt, *_ids(tokenizer, text), diagrams.END], len(prompt), None)


def _ids(tokenizer: object, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)  # type: ignore[attr-defined]


def make_row(page: diagrams.Page, rng: random.Random, tokenizer: object) -> diagrams.Row:
    """A training row of this reader."""
    if rng.random() < TOLD_BLIND:
        return told_without_picture(page, rng, tokenizer)
    return diagrams.training_row(page, rng, tokenizer, SHARES, CAREFUL)


def learn_head(model: nn.Module, head: nn.Module, pages: list[diagrams.Page]) -> None:
    """Fits the reading head, which does not ship, to the model's features as they are."""
    adam, rng = torch.optim.Adam(head.parameters(), lr=3e-3), random.Random(1)
    parts = model.model
    for _ in range(HEAD_STEPS):
        chosen = rng.choices(pages, k=64)
        with torch.no_grad():
            seen = diagrams.pixels([page.picture for page in chosen])
            tower = parts.vision_tower(seen, output_hidden_states=True).hidden_states[-2][:, 1:]
            features = parts.multi_modal_projector(tower)
        loss = diagrams.reading_loss(head, features, chosen)
        adam.zero_grad()
        loss.backward()
        adam.step()


def make_reader(out: Path, steps: int = STEPS) -> None:
    """Trains on and writes the model's folder, whole or not at all."""
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(0)
    tokenizer = diagrams.make_tokenizer(diagrams.PHRASES)
    processor = diagrams.make_processor(tokenizer, diagrams.SIDE)
    model = AutoModelForImageTextToText.from_pretrained(MODEL_DIR, dtype=torch.float32).train()
    pages = diagrams.draw_pages(PAGES, FIRST_PAGE)
    head = nn.Linear(model.config.text_config.hidden_size, len(diagrams.LABELS))
    learn_head(model, head, pages)
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    diagrams.learn_to_answer(model, head, processor, pages, steps, BATCH, random.Random("reader"), draft, make_row)
    diagrams.save(model, processor, draft)
    diagrams.halve(draft, torch.float16)
    os.replace(draft, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    make_reader(args.out, args.steps)


if __name__ == "__main__":
    main()
