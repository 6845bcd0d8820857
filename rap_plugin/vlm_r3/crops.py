"""A region of an image as the model gets to see it: cut out, zoomed, brought to the sizes that the model takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rap_plugin.vlm_r3.coordinates import Region, Size, smart_resize

if TYPE_CHECKING:
    from PIL.Image import Image

SMALL, LARGE = 0.125, 0.5
"""Shares of the image's area: regions below the first are doubled, from the second on they stay as they are."""

NARROWEST = 100.0
"""Ratio of sides beyond which a region is a line: image processors refuse more than 200."""


@dataclass(frozen=True, slots=True)
class CropLimits:
    """Pixels that a crop has at least and at most when it is handed over."""

    min_pixels: int = 4 * 28 * 28
    max_pixels: int = 1024 * 28 * 28


TRAINING = CropLimits()
EVALUATION = CropLimits(32 * 28 * 28, 4096 * 28 * 28)
"""The limits that VLM-R3 has in training and in evaluation (arXiv 2505.16192)."""


def zoom(share: float) -> float:
    """How much a region is enlarged that takes this share of the image: 2 below 1/8, 1 from 1/2 on, linear between."""
    if share < SMALL:
        return 2.0
    return 1.0 if share >= LARGE else 2.0 - (share - SMALL) / (LARGE - SMALL)


def crop_size(region: Region, size: Size, limits: CropLimits, factor: int = 28) -> Size:
    """(width, height) that the crop of a region has."""
    width, height = region[2] - region[0], region[3] - region[1]
    scale = zoom(width * height / (size[0] * size[1]))
    zoomed = max(1, int(width * scale)), max(1, int(height * scale))
    return smart_resize(zoomed, factor, limits.min_pixels, limits.max_pixels)


def crop(image: Image, region: Region, limits: CropLimits, factor: int = 28) -> Image:
    """The crop that the model sees."""
    from PIL.Image import Resampling

    part = image.crop(region)
    if part.mode not in ("RGB", "L"):
        part = part.convert("RGB")
    return part.resize(crop_size(region, image.size, limits, factor), Resampling.BICUBIC)


def too_small(region: Region, min_side: int) -> bool:
    """Whether a region has nothing to show: a side below `min_side` pixels, or nearly a line."""
    width, height = region[2] - region[0], region[3] - region[1]
    return min(width, height) < min_side or max(width, height) > NARROWEST * min(width, height)
