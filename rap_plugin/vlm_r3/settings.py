"""From the options of a run to what the loop is told: prompt, frame, limits, sampling, and the key of the evidence."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Literal

from rap_plugin.config import RunConfig
from rap_plugin.engines.base import Engine
from rap_plugin.evidence.records import ProbeKey
from rap_plugin.executors.prompts import make_prompt
from rap_plugin.rollout import Prompt, Sampling
from rap_plugin.samples.sample import Sample
from rap_plugin.vlm_r3.coordinates import Frame, Scale, frame_of
from rap_plugin.vlm_r3.crops import CropLimits
from rap_plugin.vlm_r3.driver import turn_engine
from rap_plugin.vlm_r3.loop import LoopOptions

RECIPE = 1
"""Raised when the loop puts other things into a turn for the same options: old evidence is then not mixed in."""

MEANT: dict[Scale, str] = {
    "resized": "in pixels of the image",
    "normalised": "in thousandths of its width and height",
    "raw": "in pixels of the image",
}

Crops = Literal["own", "blank", "swapped", "random", "none"]
"""What a row is shown where it asks for a region: that region, or something in its place."""


def instruction(scale: Scale, images: int = 1) -> str:
    """What a model is told about looking."""
    which = '"image": 1, ' if images > 1 else ""
    return (
        "Think step by step. Whenever you want to see a part of the image more closely, write its box "
        f'{MEANT[scale]} as {{{which}"bbox_2d": [x1, y1, x2, y2]}}; that part is then shown to you, enlarged. '
        "Write your final answer inside <answer></answer>."
    )


def make_frame(config: RunConfig, engine: Engine) -> Frame:
    """The coordinates that the engine's model writes. Raises RapError for an engine that cannot write turns on."""
    return frame_of(turn_engine(engine).vision(), config.r3.coordinates)


def make_options(config: RunConfig) -> LoopOptions:
    """What a row may do."""
    r3 = config.r3
    return LoopOptions(
        max_segments=r3.max_segments,
        max_crops=r3.max_crops,
        max_new_tokens=config.sampling.max_new_tokens,
        limits=CropLimits(r3.min_crop_pixels, max(r3.min_crop_pixels, r3.max_crop_pixels)),
        min_side=r3.min_side,
    )


def make_sampling(config: RunConfig) -> Sampling:
    """The engine's view: prompt and turn together have room for the prompt, the answer and the crops."""
    return Sampling(
        temperature=config.r3.temperature,
        top_p=config.sampling.top_p,
        max_prompt_tokens=config.sampling.max_prompt_tokens,
        max_new_tokens=config.sampling.max_new_tokens + config.r3.max_crop_tokens,
        seed=config.sampling.seed,
    )


def region_prompt(sample: Sample, config: RunConfig, frame: Frame) -> Prompt:
    """The prompt of a sample: its question, the instruction behind it, its images."""
    text = config.r3.instruction
    if text is None:
        text = instruction(frame.scale, len(sample.images))
    return make_prompt(sample, "image", config.prompt.model_copy(update={"instruction": text}))


def region_key(config: RunConfig, engine: Engine, frame: Frame, crops: Crops) -> ProbeKey:
    """The key of the evidence: everything that a trace depends on."""
    options = config.r3.model_dump(exclude={"rollouts", "boxes", "temperature", "coordinates"})
    recipe = {"r3": RECIPE, "options": options, "system": config.prompt.system, "scale": frame.scale}
    if config.prompt.template_options:
        recipe["template"] = config.prompt.template_options
    text = json.dumps(recipe, sort_keys=True)
    name = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    sampling = replace(make_sampling(config), max_new_tokens=config.sampling.max_new_tokens)
    return ProbeKey.of(
        "image",
        name,
        engine.identity,
        sampling,
        engine=engine.name,
        min_pixels=config.model.min_pixels,
        max_pixels=config.model.max_pixels,
        crops=crops,
    )
