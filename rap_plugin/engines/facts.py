"""What a model's files say of how it sees images."""

from __future__ import annotations

from typing import Any

from rap_plugin.engines.pixels import processor_bounds
from rap_plugin.engines.turns import VisionFacts


def vision_facts(settings: Any, processor: Any) -> VisionFacts:
    """From a model's configuration and its processor."""
    images = getattr(processor, "image_processor", None)
    bounds = processor_bounds(images)
    patch, merge = getattr(images, "patch_size", None), getattr(images, "merge_size", None)
    if bounds is None or not isinstance(patch, int) or not isinstance(merge, int):
        return VisionFacts(str(settings.model_type))
    return VisionFacts(str(settings.model_type), patch * merge, *bounds)


def vision_tokens(processor: Any, settings: Any) -> list[int]:
    """Tokens that stand for images and their borders: a model that samples one would have features missing."""
    names = ("image_token_id", "image_token_index", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    found = {getattr(owner, name, None) for owner in (settings, processor) for name in names}
    return sorted(token for token in found if isinstance(token, int))
