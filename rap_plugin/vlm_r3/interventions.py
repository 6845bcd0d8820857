"""What a row is shown in place of the region that it asked for: for measuring what looking is worth.

Everything else stays as it is: the same prompt, the same draws, the same loop. So a row does the same up to its first
crop, and what is different behind it, the crop has caused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from rap_plugin.errors import RapError
from rap_plugin.vlm_r3.coordinates import Region, Size
from rap_plugin.vlm_r3.crops import crop
from rap_plugin.vlm_r3.loop import RegionRow, Show
from rap_plugin.vlm_r3.settings import Crops
from rap_plugin.vlm_r3.trace import Look

if TYPE_CHECKING:
    from PIL.Image import Image

INTERVENTIONS: tuple[Crops, ...] = ("blank", "swapped", "random", "none")

GREY = 127
TRIES = 16


def shower(crops: Crops, partner: Callable[[], Image] | None = None) -> Show | None:
    """What replaces crops; `partner` gives the image of another sample, for `swapped`."""
    if crops == "own":
        return None
    if crops == "blank":
        return _blank
    if crops == "none":
        return lambda row, look, shown: None
    if crops == "random":
        return _random
    if partner is None:
        raise RapError(
            "swapped crops show another problem's image, and this run has one problem with an image; leave swapped out: "
            "--crops blank --crops random --crops none"
        )
    return lambda row, look, shown: _swapped(partner(), row, look, shown)


def _blank(row: RegionRow, look: Look, shown: Image) -> Image:
    """Grey, of the same size."""
    from PIL import Image

    return Image.new("RGB", shown.size, (GREY, GREY, GREY))


def _random(row: RegionRow, look: Look, shown: Image) -> Image:
    """A region of the same size somewhere else in the same image."""
    assert look.region is not None
    image = row.turn.prompt.images[look.image]
    region = elsewhere(look.region, image.size, f"{row.key}/{row.turn.seed}/{len(row.looks)}")
    return crop(image, region, row.options.limits, row.frame.factor).resize(shown.size)


def _swapped(other: Image, row: RegionRow, look: Look, shown: Image) -> Image:
    """The same place of another sample's image, in the same size."""
    assert look.region is not None
    width, height = row.turn.prompt.images[look.image].size
    left, top, right, bottom = look.region
    there = (
        left * other.width // width,
        top * other.height // height,
        max(left * other.width // width + 1, right * other.width // width),
        max(top * other.height // height + 1, bottom * other.height // height),
    )
    part = other.crop(there)
    return (part if part.mode in ("RGB", "L") else part.convert("RGB")).resize(shown.size)


def elsewhere(region: Region, size: Size, name: str) -> Region:
    """A region of the same size, drawn from `name`: of some draws the one that covers least of the region itself."""
    import hashlib

    seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
    draws = np.random.Generator(np.random.Philox(seed))
    width, height = region[2] - region[0], region[3] - region[1]
    best, least = region, float("inf")
    for _ in range(TRIES):
        left = int(draws.integers(0, size[0] - width + 1))
        top = int(draws.integers(0, size[1] - height + 1))
        there = (left, top, left + width, top + height)
        share = overlap(region, there) / (width * height)
        if share == 0:
            return there
        if share < least:
            best, least = there, share
    return best


def overlap(one: Region, other: Region) -> int:
    """Pixels that two regions share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0, width) * max(0, height)
