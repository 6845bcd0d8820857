"""How a sample becomes the prompt of an arm, and the hash that names the recipe."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rap_plugin.config import PromptConfig
from rap_plugin.rollout import Arm, Prompt
from rap_plugin.samples.conditions import facts_prompt
from rap_plugin.samples.images import open_image
from rap_plugin.samples.sample import IMAGE, Sample

if TYPE_CHECKING:
    from PIL.Image import Image

RECIPE = 1
"""Part of a prompt's hash: evidence of another recipe is not mixed in."""

BLIND_RECIPE = 2
"""Of the blind arm without images, where a question holds placeholders side by side: each left a space under recipe 1."""

FACTS_RECIPE = 1
"""Of the arm that shows the facts in words."""

_PLACEHOLDER = rf"[ \t]*{re.escape(IMAGE)}[ \t]*\n?"


def recipe_of(arm: Arm, config: PromptConfig, questions: Iterable[str]) -> int:
    """The recipe under which the prompts of an arm are made. A change counts only where it changes one of these
    questions' prompts: all other evidence keeps its key."""
    changed = arm == "blind" and config.blind == "drop"
    return BLIND_RECIPE if changed and any(_spaced_before(question) for question in questions) else RECIPE


def _spaced_before(question: str) -> bool:
    return question.count(IMAGE) > 1 and without_placeholders(question) != re.sub(_PLACEHOLDER, " ", question).strip()


def prompt_hash(arm: Arm, config: PromptConfig, recipe_number: int = RECIPE) -> str:
    """Names the recipe of an arm: 16 hexadecimal digits.

    The image arm does not depend on the intervention, so another intervention reuses its rollouts.
    """
    recipe: dict[str, object] = {
        "recipe": recipe_number,
        "instruction": config.instruction or "",
        "system": config.system,
    }
    # Absent unless used, so that the keys of older evidence stay as they are.
    if config.template_options:
        recipe["template"] = config.template_options
    if config.host_recipe:
        recipe["host"] = config.host_recipe
    if arm == "blind":
        recipe["blind"] = config.blind
    if arm == "facts":
        recipe["facts"] = FACTS_RECIPE
    text = json.dumps(recipe, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def make_prompt(sample: Sample, arm: Arm, config: PromptConfig, partner: Sample | None = None) -> Prompt:
    """The prompt of one arm: question + one space + instruction, with the arm's images.

    In the blind arm the images are dropped (with their placeholders), or replaced by grey ones or noise of the same
    size, or by those of `partner`, repeated or cut to the same number. In the facts arm the facts in words stand in front of
    the question, beside the images.
    """
    if arm == "facts":
        asked = facts_prompt(sample.question, sample.facts)
        text = f"{asked} {config.instruction}" if config.instruction else asked
        pictures = tuple(open_image(data) for data in sample.images)
        return Prompt(sample.id, arm, text, pictures, config.system, config.template_options)
    text = f"{sample.question} {config.instruction}" if config.instruction else sample.question
    if arm == "image":
        images = tuple(open_image(data) for data in sample.images)
    elif config.blind == "drop":
        text, images = without_placeholders(text), ()
    elif config.blind == "shuffle":
        if partner is None:
            raise ValueError("intervention shuffle needs a partner")
        images = tuple(open_image(partner.images[i % len(partner.images)]) for i in range(len(sample.images)))
    else:
        replace = _grey if config.blind == "blank" else _noise
        images = tuple(replace(open_image(data).size, sample.id, i) for i, data in enumerate(sample.images))
    return Prompt(sample.id, arm, text, images, config.system, config.template_options)


def without_placeholders(text: str) -> str:
    """The text with every `<image>` taken out, and the white space that it leaves behind."""
    return re.sub(rf"(?:{_PLACEHOLDER})+", " ", text).strip()


def _grey(size: tuple[int, int], sample_id: str, index: int) -> Image:
    from PIL import Image

    return Image.new("RGB", size, (127, 127, 127))


def _noise(size: tuple[int, int], sample_id: str, index: int) -> Image:
    import numpy as np
    from PIL import Image

    # Seeded by the sample, so that the counterfactual is the same picture in every run.
    draws = np.random.Generator(np.random.Philox(int(sample_id[:16], 16) + index))
    return Image.fromarray(draws.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8), "RGB")
