"""The six training recipes of the modality-gap work (arXiv 2510.22836) as data, and their YAML form.

    full_text       the base on text prompts                 curriculum     from full_text, then image prompts
    no_text         the base on image prompts                contrastive_kl text prompts + 0.01 * L_ckl
    mix             the base on both, concatenated           kl_curriculum  from contrastive_kl, then image prompts

All are DAPO (arXiv 2503.14476): group-normalised advantages, clip-higher, dual clip, dynamic sampling, token mean, overlong
shaping; no reference model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from rap_plugin.config import UNREADABLE, Section, in_plain_words, read_yaml
from rap_plugin.errors import RapError, one_line
from rap_plugin.modality_gap.contrastive import ContrastiveLoss, Form, Sampler
from rap_plugin.modality_gap.reward import Tolerance

Condition = Literal["text", "image", "mix", "contrastive"]


BASE = "base"
"""The name under which the report shows the model that a training starts from."""


class DapoConfig(Section):
    """How every stage is trained. A *step* is one batch of rollouts; it makes `prompts / mini_batch` optimiser steps."""

    learning_rate: float = Field(1e-6, gt=0, description="constant, without warm-up")
    prompts: int = Field(512, ge=1, description="prompts of one step")
    rollouts: int = Field(5, ge=2, description="responses to each prompt")
    mini_batch: int = Field(128, ge=1, description="prompts of one optimiser step")
    temperature: float = Field(0.8, gt=0, description="of the rollouts")
    clip_low: float = Field(0.2, gt=0, description="ratios below 1 - clip_low are clipped")
    clip_high: float = Field(0.28, gt=0, description="ratios above 1 + clip_high are clipped")
    dual_clip: float = Field(10.0, gt=1, description="bound of the ratio where the advantage is negative")
    sampling_rounds: int = Field(10, ge=1, description="dynamic sampling: rounds until all groups differ; 1 = off")
    max_prompt_tokens: int = Field(2048, ge=1, description="longest prompt (verl, OpenRLHF)")
    max_response_tokens: int = Field(4096, ge=1, description="longest response")
    overlong_buffer: int = Field(
        1024, ge=0, description="last tokens of a response over which a penalty grows; 0 = off"
    )
    overlong_factor: float = Field(1.0, ge=0, description="penalty at the end of the buffer")


class ContrastiveConfig(Section):
    """The contrastive loss; see `ContrastiveLoss`."""

    form: Form = Field("k3", description="k3 as published, forward_kl or nll")
    coefficient: float = Field(0.01, gt=0, description="weight of the loss")
    sampled_by: Sampler = Field("teacher", description="whose prompt responses are sampled on")

    def loss(self) -> ContrastiveLoss:
        return ContrastiveLoss(self.form, self.coefficient, self.sampled_by)


class GapRecipe(Section):
    """One recipe: which prompts, from which weights, how long."""

    name: str = Field(pattern=r"^[a-z0-9_]+$", description="folder of its checkpoints below the output folder")
    condition: Condition = Field(description="prompts of its rows")
    start: str | None = Field(None, description="recipe whose weights it starts from; none: the base model")
    start_step: int | None = Field(None, ge=1, description="step of that recipe; none: its last")
    steps: int = Field(200, ge=1, description="batches of rollouts")
    save_every: int = Field(50, ge=1, description="steps between checkpoints, all of which are kept")
    tolerance: Tolerance = Field("one_percent", description="of the reward: one_percent, or exact as published")
    contrastive: ContrastiveConfig | None = Field(None, description="the contrastive loss; rows need both prompts")
    training: DapoConfig = Field(default_factory=DapoConfig)
    trl: dict[str, Any] = Field(default_factory=dict, description="further fields of TRL's GRPOConfig")

    def changed(self, assignments: Iterable[str]) -> GapRecipe:
        """This recipe with `NAME=VALUE` put in, names dotted, values YAML. Raises RapError for what cannot be."""
        tree = self.model_dump()
        for assignment in assignments:
            assign(tree, assignment)
        return read_recipe(tree, f"recipe {self.name}")


def read_recipe(tree: Mapping[str, Any], where: str) -> GapRecipe:
    """A recipe from plain data. Raises RapError, one line, for an unknown name or an impossible value."""
    try:
        recipe = GapRecipe.model_validate(dict(tree))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise RapError(f"{where}: {name}: {in_plain_words(first)} (got {one_line(repr(first['input']), 80)})") from None
    if recipe.name == BASE:
        raise RapError(f"{where}: name: {BASE!r} is where the untrained model is measured; choose another")
    if recipe.start is None and recipe.start_step is not None:
        raise RapError(
            f"{where}: start_step is set without start, the recipe that it is a step of; leave it out (null)"
        )
    if (recipe.condition == "contrastive") != (recipe.contrastive is not None):
        raise RapError(f"{where}: condition: contrastive and the section contrastive belong together")
    if recipe.training.prompts % recipe.training.mini_batch:
        raise RapError(
            f"{where}: training.prompts ({recipe.training.prompts}) must be a multiple of training.mini_batch "
            f"({recipe.training.mini_batch})"
        )
    if recipe.training.overlong_buffer >= recipe.training.max_response_tokens:
        raise RapError(f"{where}: training.overlong_buffer must be smaller than training.max_response_tokens")
    return recipe


def load_recipe(name_or_file: str) -> GapRecipe:
    """A recipe by its name or from a YAML file. Raises RapError for neither."""
    if name_or_file in RECIPES:
        return RECIPES[name_or_file]
    path = Path(name_or_file)
    if not path.is_file():
        raise RapError(f"no recipe and no file {name_or_file!r}; recipes: {', '.join(RECIPES)}")
    return read_recipe(read_yaml(path, "`name:`, `condition:`"), str(path))


def chain_of(recipe: GapRecipe, known: Mapping[str, GapRecipe]) -> list[GapRecipe]:
    """What has to be trained before `recipe`, and itself, in order. Raises RapError where a start is unknown or circular."""
    chain = [recipe]
    while chain[0].start is not None:
        earlier = known.get(chain[0].start)
        if earlier is None:
            raise RapError(
                f"recipe {chain[0].name} starts from {chain[0].start!r}, which is no recipe; known: {', '.join(known)}"
            )
        if any(one.name == earlier.name for one in chain):
            raise RapError(f"recipe {earlier.name} starts from itself")
        step = chain[0].start_step
        if step is not None and (step > earlier.steps or (step % earlier.save_every and step != earlier.steps)):
            raise RapError(
                f"recipe {chain[0].name} starts from step {step} of {earlier.name}, which keeps every "
                f"{earlier.save_every}th of its {earlier.steps} steps"
            )
        chain.insert(0, earlier)
    return chain


FOR_ALL = ("training.", "steps", "save_every", "tolerance", "trl.")
"""Changes that also hold for the recipes that one starts from."""


def with_changes(recipe: GapRecipe, assignments: Iterable[str]) -> tuple[GapRecipe, dict[str, GapRecipe]]:
    """The recipe with `NAME=VALUE` put in, and the other recipes with what concerns them of it.

    What a recipe has no use for (the contrastive loss, the step of a start) is left out, so that one list of changes suits all.
    """
    given = list(assignments)
    own = [one for one in given if recipe.contrastive or not one.startswith("contrastive.")]
    if recipe.start is None and not any(one.startswith("start=") for one in own):
        own = [one for one in own if not one.startswith("start_step=")]
    changed = recipe.changed(own)
    known = dict(RECIPES)
    for name, other in RECIPES.items():
        also = ("contrastive.",) if other.contrastive else ()
        known[name] = other.changed(one for one in given if one.startswith((*FOR_ALL, *also)))
    return changed, {**known, changed.name: changed}


def assign(tree: dict[str, Any], assignment: str) -> None:
    """Puts `NAME=VALUE` into a tree of sections, in place: names dotted, values YAML. Raises RapError where it cannot."""
    name, sign, text = assignment.partition("=")
    if not sign:
        raise RapError(f"--set {assignment}: expected NAME=VALUE, for example --set training.prompts=64")
    try:
        value = yaml.safe_load(text)
    except UNREADABLE as error:
        raise RapError(f"--set {assignment}: the value is not YAML ({one_line(error)})") from None
    # YAML 1.1 takes 1e-6 for a text, since it has no point.
    if isinstance(value, str):
        with suppress(ValueError):
            value = float(value)
    *sections, last = name.strip().split(".")
    for section in sections:
        below = tree.get(section)
        below = {} if below is None else below
        tree[section] = below
        tree = below
        if not isinstance(tree, dict):
            raise RapError(f"--set {assignment}: {section} is a value, not a section")
    tree[last] = value


def _recipe(name: str, condition: Condition, **more: Any) -> GapRecipe:
    return GapRecipe(name=name, condition=condition, **more)


RECIPES: dict[str, GapRecipe] = {
    recipe.name: recipe
    for recipe in (
        _recipe("full_text", "text"),
        _recipe("no_text", "image"),
        _recipe("mix", "mix"),
        _recipe("curriculum", "image", start="full_text", start_step=200),
        _recipe("contrastive_kl", "contrastive", contrastive=ContrastiveConfig()),
        _recipe("kl_curriculum", "image", start="contrastive_kl", start_step=200),
    )
}
"""The recipes as published, in the paper's order. The numbers of steps, of prompt and of response tokens are ours."""
