"""How large an image may be when a model sees it: `model.min_pixels` and `model.max_pixels`, the same for every engine.

Image processors that bound the area of an image themselves (Qwen-VL, GLM-V, PaddleOCR-VL, ..) are given the bounds, so
that an image is resized once, exactly as in training with these bounds. For all others, and for a server, the image is
resized before it is handed over.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rap_plugin.errors import RapError

if TYPE_CHECKING:
    from PIL.Image import Image

    from rap_plugin.config import ModelConfig

AREA = 2**15
"""A `longest_edge` above this is no edge: some processors keep their bounds on the area under the names of edges."""


def pixel_bounds(config: ModelConfig) -> tuple[int, int] | None:
    """The configured (min_pixels, max_pixels), None where neither is set. Raises RapError where none fits between."""
    if config.min_pixels is None and config.max_pixels is None:
        return None
    low, high = config.min_pixels or 1, config.max_pixels or 2**62
    if low > high:
        raise RapError(f"model.min_pixels = {low:,} is above model.max_pixels = {high:,}; change one of them")
    return low, high


def processor_bounds(image_processor: Any) -> tuple[int, int] | None:
    """The (least, most) pixels that this image processor resizes to, None where it bounds no area."""
    edges = _edges(getattr(image_processor, "size", None))
    if edges is not None and (edges[1] > AREA or _takes_pixels(image_processor)):
        return edges
    low, high = (getattr(image_processor, name, None) for name in ("min_pixels", "max_pixels"))
    return (low, high) if isinstance(low, int) and isinstance(high, int) else None


def narrowed(bounds: tuple[int, int], config: ModelConfig) -> tuple[int, int]:
    """A processor's own bounds with the configured ones in their place; one that is not configured gives way."""
    low = bounds[0] if config.min_pixels is None else config.min_pixels
    high = bounds[1] if config.max_pixels is None else config.max_pixels
    if low > high:
        low, high = (low, low) if config.max_pixels is None else (high, high)
    return low, high


def bound_processor(image_processor: Any, config: ModelConfig) -> bool:
    """Gives the processor the configured bounds, in place; False where it bounds no area and images are to be resized."""
    bounds = processor_bounds(image_processor)
    if bounds is None:
        return False
    low, high = narrowed(bounds, config)
    if _edges(getattr(image_processor, "size", None)) is None:
        image_processor.min_pixels, image_processor.max_pixels = low, high
        return True
    size = copy.copy(image_processor.size)
    if isinstance(size, dict):
        size |= {"shortest_edge": low, "longest_edge": high}
    else:
        size.shortest_edge, size.longest_edge = low, high
    image_processor.size = size
    return True


def resized(image: Image, bounds: tuple[int, int]) -> Image:
    """The image with its area within (least, most) pixels, aspect ratio kept; itself where it fits already."""
    from PIL.Image import Resampling

    width, height = image.size
    low, high = bounds
    area = width * height
    if low <= area <= high:
        return image
    scale = math.sqrt((high if area > high else low) / area)
    towards: Callable[[float], int] = math.floor if area > high else math.ceil
    size = (max(1, towards(width * scale)), max(1, towards(height * scale)))
    return image.resize(size, Resampling.BICUBIC)


def too_many_tokens(tokens: int, of_images: int, limit: int, sizes: Sequence[tuple[int, int]], most: int | None) -> str:
    """Why a prompt is overlong, and which option shortens it.

    `sizes` are those of the images as they came, `most` is the area that an image is reduced to today; None where an
    image takes as many tokens whatever its area.
    """
    reason = f"the prompt has {tokens} tokens, max_prompt_tokens is {limit}"
    if not of_images or not sizes:
        return reason
    images = ", ".join(f"{width} x {height}" for width, height in sizes[:3]) + (", .." if len(sizes) > 3 else "")
    reason += f"; {of_images} of them are for {len(sizes)} image{'s'[: len(sizes) > 1]} ({images} pixels)"
    room = limit - (tokens - of_images)
    if room <= 0 or most is None:
        return f"{reason}; raise sampling.max_prompt_tokens"
    fits = int(max(min(width * height, most) for width, height in sizes) * room / of_images)
    return f"{reason}; set model.max_pixels (here at most about {fits}) or raise sampling.max_prompt_tokens"


def _takes_pixels(image_processor: Any) -> bool:
    """Whether the processor's class knows arguments of the name min_pixels."""
    return "min_pixels" in getattr(getattr(image_processor, "valid_kwargs", None), "__annotations__", {})


def _edges(size: Any) -> tuple[int, int] | None:
    names = ("shortest_edge", "longest_edge")
    low, high = (size.get(name) if isinstance(size, dict) else getattr(size, name, None) for name in names)
    return (low, high) if isinstance(low, int) and isinstance(high, int) else None
