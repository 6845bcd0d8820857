"""Figures as pictures, in several renderings: how thick the lines are, which font, drawn with a ruler or by hand."""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from rap_plugin.modality_gap.figures import SIDE, Figure, Label, Point

if TYPE_CHECKING:
    from PIL.Image import Image

SCALE = 4
"""Pictures are drawn this much larger and then made small, which smooths their edges."""


@dataclass(frozen=True)
class Rendering:
    """`line` in pixels; `hand` draws letters as strokes and moves every point by up to `jitter` pixels."""

    name: str
    line: float
    bold: bool = False
    hand: bool = False
    jitter: float = 0.0


RENDERINGS: dict[str, Rendering] = {
    rendering.name: rendering
    for rendering in (
        Rendering("plain", line=1.0),
        Rendering("bold", line=1.9, bold=True),
        Rendering("hand", line=1.3, hand=True, jitter=0.9),
    )
}

STROKES: dict[str, str] = {
    "0": "10 01 05 16 25 21 10", "1": "02 10 16", "2": "01 10 20 22 06 26", "3": "00 20 12 23 25 16 05",
    "4": "26 20 04 34", "5": "20 00 02 12 23 25 16 05", "6": "20 02 05 16 25 23 12 03", "7": "00 20 06",
    "8": "10 01 12 23 25 16 05 03 12 21 10", "9": "22 13 02 01 10 21 24 15 05", "x": "02 26|22 06", "A": "06 10 26|04 24",
    "B": "06 00 10 21 12 03|12 24 25 16 06", "C": "21 10 01 05 16 25", "D": "06 00 10 22 24 16 06", "E": "20 00 06 26|03 13",
    "F": "20 00 06|03 13", "H": "00 06|20 26|03 23", "J": "20 25 16 05", "K": "00 06|20 03 26", "L": "00 06 26",
    "M": "06 00 13 20 26", "N": "06 00 26 20", "O": "10 01 05 16 25 21 10", "P": "06 00 10 21 22 13 03",
    "Q": "10 01 05 16 25 21 10|14 26", "R": "06 00 10 21 22 13 03|13 26", "S": "21 10 01 02 23 25 16 05",
    "T": "00 20|10 16", "V": "00 16 20", "W": "00 06 13 26 20", "U": "00 05 16 25 20",
}  # fmt: skip
"""Letters as strokes on a grid of columns 0..3 and rows 0..6: points "xy", strokes parted by "|"."""


def draw(figure: Figure, rendering: Rendering, seed: int = 0) -> Image:
    """The figure as a grey picture of `SIDE` x `SIDE`; the same seed gives the same hand."""
    from PIL import Image, ImageDraw

    rng = random.Random(f"hand {rendering.name} {seed}")
    paper = Image.new("L", (SIDE * SCALE, SIDE * SCALE), 255)
    pen = ImageDraw.Draw(paper)
    for start, end in figure.lines:
        _line(pen, start, end, rendering, rng)
    for centre, radius in figure.circles:
        ring = [
            (centre[0] + radius * math.cos(turn), centre[1] - radius * math.sin(turn))
            for turn in (math.tau * i / 48 for i in range(49))
        ]
        _path(pen, _shaken(ring, rendering.jitter / 2, rng), rendering.line)
    for corner, one, other in figure.corners:
        p, q = _step(corner, one, 7), _step(corner, other, 7)
        _path(pen, [p, (p[0] + q[0] - corner[0], p[1] + q[1] - corner[1]), q], max(1.0, rendering.line * 0.8))
    for label in figure.labels:
        _write(pen, label, rendering, rng)
    return paper.resize((SIDE, SIDE), Image.Resampling.BOX)


def png(picture: Image) -> bytes:
    """The picture as PNG bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _step(start: Point, end: Point, length: float) -> Point:
    share = length / math.dist(start, end)
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def _shaken(points: list[Point], by: float, rng: random.Random) -> list[Point]:
    return [(x + rng.uniform(-by, by), y + rng.uniform(-by, by)) for x, y in points] if by else points


def _path(pen: Any, points: list[Point], width: float) -> None:
    pen.line([(SCALE * x, SCALE * y) for x, y in points], fill=0, width=max(1, round(SCALE * width)), joint="curve")


def _line(pen: Any, start: Point, end: Point, rendering: Rendering, rng: random.Random) -> None:
    """A straight line; by hand, one that bends a little on its way."""
    if not rendering.jitter:
        return _path(pen, [start, end], rendering.line)
    parts = 4
    points = [
        (start[0] + i / parts * (end[0] - start[0]), start[1] + i / parts * (end[1] - start[1]))
        for i in range(parts + 1)
    ]
    return _path(pen, _shaken(points, rendering.jitter, rng), rendering.line)


@cache
def _font() -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(12 * SCALE)


def _write(pen: Any, label: Label, rendering: Rendering, rng: random.Random) -> None:
    """The label on a white ground, so that lines behind it do not cross it."""
    x, y = SCALE * label.x, SCALE * label.y
    wide = 7 * len(label.text) if not rendering.hand else 7.2 * len(label.text)
    pen.rectangle((x - SCALE * wide / 2, y - SCALE * 5, x + SCALE * wide / 2, y + SCALE * 5), fill=255)
    if not rendering.hand:
        pen.text((x, y), label.text, fill=0, font=_font(), anchor="mm", stroke_width=1 if rendering.bold else 0)
        return
    left = label.x - 3.6 * len(label.text) + 1
    for place, character in enumerate(label.text):
        for stroke in STROKES[character].split("|"):
            grid = [(int(point[0]), int(point[1])) for point in stroke.split()]
            points = [(left + 7.2 * place + 2.4 * gx, label.y - 4.5 + 1.5 * gy) for gx, gy in grid]
            _path(pen, _shaken(points, rendering.jitter * 0.5, rng), rendering.line)
