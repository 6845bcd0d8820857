"""The proof's second pool: drawn geometry diagrams with known answers, whose text shows, tells or misleads.

The figures are those of `rap_plugin.modality_gap`, read by a small model (`pays_for_itself_reader.py`). A problem of kind `shown` has its facts in
the drawing alone; `told` has them in words too, so that the text gives the answer away; `note` has words that state another
figure's values, so that who believes them answers wrong. Answers are computed from the figure.

    python benchmarks/pays_for_itself_diagrams.py benchmarks/diagram_reader --problems 400      # what the base answers, with the drawing and without
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from digit_problems import Recipe

from rap_plugin.modality_gap.diagrams import figures
from rap_plugin.modality_gap.drawing import RENDERINGS, draw, png
from rap_plugin.modality_gap.figures import Figure, make_figure
from rap_plugin.samples.clauses import clauses_of
from rap_plugin.samples.conditions import image_prompt, text_prompt

RECIPES = {
    "shown": Recipe("shown", "needs_image", True),
    "told": Recipe("told", "given_away", False),
    "note": Recipe("note", "distracted", True),
}
"""What each kind of text does, in the words of the digit pool."""
TOLD = 0.5
"""Share of the pool whose text gives the answer away."""
MISLED = 0.25
"""Share of the other problems whose text misleads."""
TRIES = 200


@dataclass(frozen=True)
class Drawing:
    """One problem; `kind` is what its text does, `claim` the answer that a misleading text leads to."""

    id: str
    question: str
    answer: str
    image: bytes
    kind: str
    figure: str
    claim: str | None = None

    @property
    def role(self) -> str:
        return RECIPES[self.kind].role

    @property
    def needs_image(self) -> bool:
        return RECIPES[self.kind].needs_image


def shares(told: float = TOLD) -> dict[str, float]:
    """Shares of the kinds, with this share of problems whose text gives the answer away."""
    return {"told": told, "shown": (1 - told) * (1 - MISLED), "note": (1 - told) * MISLED}


def make_drawings(count: int, seed: int, told: float = TOLD) -> list[Drawing]:
    """`count` problems in random order, with exact shares of the kinds; the same arguments give the same questions and answers
    (and the same pictures with the same Pillow)."""
    rng = random.Random(f"proof diagrams {seed}")
    counts = {kind: round(count * share) for kind, share in shares(told).items()}
    kinds = [kind for kind, wanted in counts.items() for _ in range(wanted)]
    kinds = (kinds + ["shown"] * count)[:count]
    rng.shuffle(kinds)
    return list(_drawings(kinds, seed, rng))


def _drawings(kinds: list[str], seed: int, rng: random.Random) -> Iterator[Drawing]:
    source = figures(rng)
    renderings = tuple(RENDERINGS)
    for number, kind in enumerate(kinds):
        figure, other = next(source), None
        while kind == "note" and (other := _other_values(figure, rng)) is None:
            figure = next(source)
        yield Drawing(
            id=f"drawing-{seed}-{number:05d}",
            question=_question(kind, figure, other),
            answer=str(figure.answer),
            image=png(draw(figure, RENDERINGS[renderings[number % len(renderings)]], number)),
            kind=kind,
            figure=figure.kind,
            claim=None if other is None else str(other.answer),
        )


def _question(kind: str, figure: Figure, other: Figure | None) -> str:
    if kind == "told":
        return text_prompt(clauses_of(figure.structural, figure.semantic), figure.question)
    if other is None:
        return image_prompt(figure.question)
    return f"A note says {', '.join(clauses_of(other.structural, other.semantic))}. {image_prompt(figure.question)}"


def _other_values(figure: Figure, rng: random.Random) -> Figure | None:
    """A figure that differs in nothing but its values and its answer; None where a few draws found none."""
    for _ in range(TRIES):
        other = make_figure(_family(figure), rng)
        if other.kind == figure.kind and _form(other) == _form(figure) and other.answer != figure.answer:
            return other
    return None


def _form(figure: Figure) -> tuple[str, ...]:
    """Its clauses without their numbers."""
    return tuple(re.sub(r"\d+", "", clause) for clause in (*figure.structural, *figure.semantic))


FAMILIES: Mapping[str, str] = {
    "vertical_angle": "crossing",
    "adjacent_angle": "crossing",
    "corresponding_angle": "parallel",
    "same_side_angle": "parallel",
    "radius": "circle_length",
    "diameter": "circle_length",
    "inscribed_angle": "circle_angle",
    "central_angle": "circle_angle",
}
"""The family that makes a finer kind of figure; the others are their own."""


def _family(figure: Figure) -> str:
    return FAMILIES.get(figure.kind, figure.kind)


def base_answers(folder: Path, count: int, responses: int) -> list[str]:
    """Markdown lines: how often the base is right with the drawing and without it, and how often it says what a note claims."""
    import digit_rl as rl

    model, processor = rl.load_policy(str(folder))
    pool = make_drawings(count, 0)
    seen = rl.exercises(pool, model, processor)
    blind = [rl.without_image(one, model, processor) for one in pool]
    seeds = [[responses * at + k for k in range(responses)] for at in range(len(pool))]
    said = [
        [[rl.text_of(row, processor) for row in rows] for rows in rl.respond(model, asked, seeds)]
        for asked in (seen, blind)
    ]
    lines = [
        "| kind | problems | right, % | right without the drawing, % | says what the note claims, % |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind in RECIPES:
        at = [number for number, one in enumerate(pool) if one.kind == kind]
        texts = [[(text, pool[number]) for number in at for text in arm[number]] for arm in said]
        right = [sum(rl.reward(text, one) for text, one in arm) / len(arm) for arm in texts]
        claimed = sum(rl.extract_boxed(text) == one.claim for text, one in texts[0]) / len(texts[0])
        claim = f"{100 * claimed:.0f}" if kind == "note" else ""
        lines.append(f"| `{kind}` | {len(at)} | {100 * right[0]:.0f} | {100 * right[1]:.0f} | {claim} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, help="folder of the base, or what `rap path diagram-model` prints")
    parser.add_argument("--problems", type=int, default=400)
    parser.add_argument("--responses", type=int, default=4, help="responses to each, at temperature 1")
    args = parser.parse_args()
    print("\n".join(base_answers(args.model, args.problems, args.responses)))


if __name__ == "__main__":
    main()
