"""The embedded pool of drawn geometry diagrams: seeded problems whose facts stand in words and in the drawing.

Made for tests, the demo and the proof, so that the modality-gap system runs end to end without the gated PGPS9K data. The same
count and seed give the same problems everywhere; the pictures' bytes are the same for the same Pillow.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rap_plugin.modality_gap.drawing import RENDERINGS, draw, png
from rap_plugin.modality_gap.figures import KINDS, Figure, make_figure
from rap_plugin.samples.clauses import clauses_of
from rap_plugin.samples.conditions import image_prompt, text_prompt

MODEL_DIR: Path = Path(__file__).parent / "model"
"""Folder of the small model for these diagrams, as `AutoModelForImageTextToText.from_pretrained` reads it."""

POOL_DIR: Path = Path(__file__).parent / "pool"
"""The embedded pool, train.parquet and test.parquet: id, problem_id, kind, rendering, problem (one `<image>` placeholder), facts,
text and image (the prompts of the two conditions), answer, images. Test problems stand there in every rendering."""


@dataclass(frozen=True)
class Diagram:
    """One problem: `question` bare, `facts` in words, `images` PNG bytes by rendering (96 x 96, grey).

    `structural` and `semantic` are the facts as PGPS9K writes them, `expression` the computation that gives `answer`.
    """

    id: str
    kind: str
    question: str
    answer: str
    expression: str
    facts: tuple[str, ...]
    structural: tuple[str, ...]
    semantic: tuple[str, ...]
    images: dict[str, bytes]

    @property
    def text_prompt(self) -> str:
        """The facts in words, then the question (condition `text`)."""
        return text_prompt(self.facts, self.question)

    @property
    def image_prompt(self) -> str:
        """The instruction to look, then the question (condition `image`)."""
        return image_prompt(self.question)


def make_pool(
    count: int, seed: int = 0, renderings: Sequence[str] = tuple(RENDERINGS), kinds: Sequence[str] = tuple(KINDS)
) -> list[Diagram]:
    """`count` different problems, the kinds in turn, each drawn in every one of `renderings`.

    Problems of different seeds may hold the same numbers; they are drawn apart.
    """
    return [
        diagram_of(figure, renderings, number)
        for number, figure in zip(range(count), figures(random.Random(f"diagrams {seed}"), kinds), strict=False)
    ]


def figures(rng: random.Random, kinds: Sequence[str] = tuple(KINDS)) -> Iterator[Figure]:
    """Endless figures, the kinds in turn."""
    while True:
        for kind in kinds:
            yield make_figure(kind, rng)


def diagram_of(figure: Figure, renderings: Sequence[str], hand: int) -> Diagram:
    """A figure with its facts in words and its pictures; `hand` seeds what is drawn by hand."""
    told = repr((figure.question, figure.structural, figure.semantic, figure.labels))
    return Diagram(
        id=f"diagram-{hashlib.sha256(told.encode()).hexdigest()[:12]}",
        kind=figure.kind,
        question=figure.question,
        answer=str(figure.answer),
        expression=figure.expression,
        facts=tuple(clauses_of(figure.structural, figure.semantic)),
        structural=figure.structural,
        semantic=figure.semantic,
        images={name: png(draw(figure, RENDERINGS[name], hand)) for name in renderings},
    )
