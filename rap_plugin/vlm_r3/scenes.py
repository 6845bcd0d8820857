"""Digit scenes: large canvases with small handwritten digits, for a model that sees 48 x 48 pixels of them.

A scene has `GRID` x `GRID` cells, some with a digit. A red frame stands around one or two of the digits. Brought down to 48 x 48
pixels a digit is less than two pixels wide, while the frames' places can still be told: only a crop can show the digit.
The same seed gives the same scenes, byte for byte on one version of Pillow.
"""

from __future__ import annotations

import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from rap_plugin.vlm_r3.coordinates import Region

if TYPE_CHECKING:
    from PIL.Image import Image

MODEL_DIR: Final = Path(__file__).parent / "model"
"""Folder of the model that was trained on such scenes."""

EXAMPLE_PATH: Final = Path(__file__).parent / "scene.png"
"""One scene, to ask about."""

DIGITS: Final = Path(__file__).parent / "digits.npz"
"""The 1,797 digits of scikit-learn's `load_digits` (UCI, Alpaydin and Kaynak, CC BY 4.0), 8 x 8, values 0 to 16."""

FIRST_HELD_OUT: Final = 1400
"""Digits from this row on stand only in held-out scenes, as in the demo pool."""

GRID: Final = 9
CELL: Final = 48
SIDE: Final = GRID * CELL
GLYPH: Final = 16
FRAME: Final = 7
"""Pixels of a frame's line."""

RED: Final = (225, 30, 30)

KINDS: Final[Mapping[str, float]] = {"framed": 0.7, "larger": 0.3}
"""Shares of the kinds: name the digit in the one frame; which of the two framed digits is larger."""

Pixels = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """A question about one scene."""

    id: str
    kind: str
    question: str
    """Without an image placeholder."""
    answer: str
    image: bytes
    """PNG, `SIDE` x `SIDE`."""
    boxes: tuple[Region, ...]
    """The cells with a frame, which hold the evidence, in reading order."""
    seen: tuple[int, ...]
    """The digits in them."""

    def open(self) -> Image:
        """The picture."""
        from PIL import Image

        return Image.open(io.BytesIO(self.image)).convert("RGB")


def make_scenes(count: int, split: str = "held_out", seed: int = 0, kinds: Mapping[str, float] = KINDS) -> list[Scene]:
    """`count` scenes with the digits of `split` ("train" or "held_out"), which share none. Raises ValueError for another."""
    rng = random.Random(f"digit scenes {split} {seed}")
    rows = digit_rows(split)
    names, shares = list(kinds), list(kinds.values())
    return [_scene(f"{split}-{seed}-{n:05d}", rng.choices(names, shares)[0], rows, rng) for n in range(count)]


def pool_rows(scenes: Sequence[Scene]) -> list[dict[str, Any]]:
    """The scenes as rows of a pool: id, problem (with its `<image>`), answer, images, kind, evidence_boxes."""
    return [
        {
            "id": scene.id,
            "problem": f"<image>{scene.question}",
            "answer": scene.answer,
            "images": [{"bytes": scene.image, "path": None}],
            "kind": scene.kind,
            "evidence_boxes": [list(box) for box in scene.boxes],
        }
        for scene in scenes
    ]


@cache
def digit_rows(split: str) -> dict[int, tuple[int, ...]]:
    """Rows of `DIGITS` by digit."""
    if split not in ("train", "held_out"):
        raise ValueError(f"split is {split!r}; use 'train' or 'held_out'")
    labels = _digits()[1]
    low, high = (0, FIRST_HELD_OUT) if split == "train" else (FIRST_HELD_OUT, len(labels))
    return {digit: tuple(row for row in range(low, high) if labels[row] == digit) for digit in range(10)}


def cell_box(cell: int) -> Region:
    """Left, top, right, bottom of a cell."""
    left, top = CELL * (cell % GRID), CELL * (cell // GRID)
    return left, top, left + CELL, top + CELL


@cache
def _digits() -> tuple[Pixels, Any]:
    with np.load(DIGITS, allow_pickle=False) as data:
        return data["images"] / 16.0, data["labels"]


@cache
def _glyph(row: int) -> Pixels:
    """The digit of a row, 16 x 16 by linear interpolation, ink in 0..1."""
    small = _digits()[0][row]
    at = (np.arange(GLYPH) + 0.5) / 2 - 0.5
    low = np.clip(np.floor(at).astype(int), 0, 7)
    high = np.clip(low + 1, 0, 7)
    part = np.clip(at - low, 0.0, 1.0)
    tall = small[low] * (1 - part)[:, None] + small[high] * part[:, None]
    return tall[:, low] * (1 - part)[None, :] + tall[:, high] * part[None, :]


def _scene(name: str, kind: str, rows: Mapping[int, Sequence[int]], rng: random.Random) -> Scene:
    frames = 2 if kind == "larger" else 1
    cells = _cells(frames, rng)
    digits = [rng.randint(0, 9) for _ in cells]
    if kind == "larger":
        digits[:2] = rng.sample(range(10), 2)
        asked = rng.choice(("Which framed digit is larger?", "What is the larger framed digit?"))
    else:
        asked = rng.choice(("Which digit is in the frame?", "What digit does the frame hold?"))
    return Scene(
        id=name,
        kind=kind,
        question=asked,
        answer=str(max(digits[:frames])),
        image=_draw([rng.choice(rows[digit]) for digit in digits], cells, frames, rng),
        boxes=tuple(map(cell_box, cells[:frames])),
        seen=tuple(digits[:frames]),
    )


def _cells(frames: int, rng: random.Random) -> list[int]:
    """The cells with a digit; the first ones get the frames, in different ninths of the scene and in reading order."""
    while True:
        cells = rng.sample(range(GRID * GRID), rng.randint(12, 30))
        ninths = [(cell // GRID // (GRID // 3), cell % GRID // (GRID // 3)) for cell in cells[:frames]]
        if ninths == sorted(set(ninths)):
            return cells


def _draw(rows: Sequence[int], cells: Sequence[int], frames: int, rng: random.Random) -> bytes:
    """A PNG: dark digits on a light ground; the first cells have the frames. Ink differs from digit to digit."""
    from PIL import Image

    ground = rng.randint(225, 250)
    paper = np.full((SIDE, SIDE, 3), ground, dtype=np.uint8)
    for at, (row, cell) in enumerate(zip(rows, cells, strict=True)):
        left, top, right, bottom = cell_box(cell)
        if at < frames:
            paper[top:bottom, left:right] = RED
            paper[top + FRAME : bottom - FRAME, left + FRAME : right - FRAME] = ground
        x = left + (CELL - GLYPH) // 2 + rng.randint(-1, 1)
        y = top + (CELL - GLYPH) // 2 + rng.randint(-1, 1)
        # Ink is drawn for every digit, so that how dark a cell is does not tell what stands in it.
        grey = np.rint(ground - rng.uniform(110, 200) * _glyph(row)).astype(np.uint8)
        paper[y : y + GLYPH, x : x + GLYPH] = grey[:, :, None]
    buffer = io.BytesIO()
    Image.fromarray(paper).save(buffer, "PNG")
    return buffer.getvalue()
