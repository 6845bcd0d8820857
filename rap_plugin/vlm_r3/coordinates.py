"""From the coordinates that a model writes to the pixels of the image as it came.

Qwen2.5-VL writes pixels of the image as its processor has resized it (`resized`); Qwen2-VL, Qwen3-VL and InternVL write
thousandths of width and height (`normalised`); other models may be trained on pixels of the image as it came (`raw`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from rap_plugin.engines.turns import VisionFacts

Scale = Literal["resized", "normalised", "raw"]

SCALES: dict[str, Scale] = {
    "qwen2_5_vl": "resized",
    "qwen2_5_omni_thinker": "resized",
    "qwen2_vl": "normalised",
    "qwen3_vl": "normalised",
    "qwen3_vl_moe": "normalised",
    "internvl": "normalised",
    "internvl_chat": "normalised",
}
"""By model_type of config.json; what is not here is `normalised` too."""

THOUSAND = 1000.0

Size = tuple[int, int]
Corners = tuple[float, float, float, float]
Region = tuple[int, int, int, int]
"""left, top, right, bottom in pixels of the raw image, as PIL crops: right and bottom are the first ones outside."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The coordinates that a model writes."""

    scale: Scale = "normalised"
    factor: int = 28
    """`resized`: width and height are multiples of this."""
    min_pixels: int = 56 * 56
    max_pixels: int = 28 * 28 * 1280
    """`resized`: bounds of the processor on the area."""


def frame_of(facts: VisionFacts, scale: Scale | Literal["auto"] = "auto") -> Frame:
    """The frame of a model; `scale` overrides what its family writes."""
    chosen = SCALES.get(facts.model_type, "normalised") if scale == "auto" else scale
    if facts.min_pixels is None or facts.max_pixels is None:
        # No resizing rule is known: what the model is said to see is the image itself.
        return Frame("raw" if chosen == "resized" else chosen)
    return Frame(chosen, facts.factor, facts.min_pixels, facts.max_pixels)


def smart_resize(size: Size, factor: int, min_pixels: int, max_pixels: int) -> Size:
    """(width, height) of an image as Qwen-VL's processors resize it: multiples of `factor`, area within the bounds.

    Python's rounding to even is part of it, as in Transformers' `smart_resize`.
    """
    width, height = size
    wide, high = round(width / factor) * factor, round(height / factor) * factor
    if wide * high > max_pixels:
        beta = math.sqrt(width * height / max_pixels)
        wide = max(factor, math.floor(width / beta / factor) * factor)
        high = max(factor, math.floor(height / beta / factor) * factor)
    elif wide * high < min_pixels:
        beta = math.sqrt(min_pixels / (width * height))
        wide = math.ceil(width * beta / factor) * factor
        high = math.ceil(height * beta / factor) * factor
    return wide, high


def seen_size(frame: Frame, size: Size) -> tuple[float, float]:
    """Width and height of an image in the coordinates that the model writes."""
    if frame.scale == "resized":
        return smart_resize(size, frame.factor, frame.min_pixels, frame.max_pixels)
    return (THOUSAND, THOUSAND) if frame.scale == "normalised" else size


def to_region(frame: Frame, corners: Corners, size: Size) -> Region:
    """The region of the raw image (width, height = `size`) that a box means, clipped to it, far edge inclusive.

    It has at least one pixel, whatever the numbers are.
    """
    wide, high = seen_size(frame, size)
    left, right = _span(corners[0] * size[0] / wide, corners[2] * size[0] / wide, size[0])
    top, bottom = _span(corners[1] * size[1] / high, corners[3] * size[1] / high, size[1])
    return left, top, right, bottom


def to_corners(frame: Frame, region: Region, size: Size) -> tuple[int, int, int, int]:
    """The box, in whole numbers, that a model would write for a region of the raw image: for data and for tests."""
    wide, high = seen_size(frame, size)
    left, top, right, bottom = region
    return (
        round(left * wide / size[0]),
        round(top * high / size[1]),
        round((right - 1) * wide / size[0]),
        round((bottom - 1) * high / size[1]),
    )


def outside(frame: Frame, corners: Corners, size: Size) -> bool:
    """Whether no part of a box lies in the image."""
    wide, high = seen_size(frame, size)
    return corners[0] >= wide or corners[1] >= high or corners[2] < 0 or corners[3] < 0


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    first = min(max(math.floor(min(max(low, 0.0), float(size))), 0), size - 1)
    last = min(max(math.floor(min(max(high, 0.0), float(size))), first), size - 1)
    return first, last + 1
