"""How a model is taught to look again, as data: SFT on interleaved rows, then R-GRPO; the numbers are the published ones.

Source: the launch scripts released with arXiv 2505.16192 (`sft_7b.sh` on 6 devices, `run_rgrpo_vllm.sh` on 5 and one for vLLM).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from rap_plugin.config import Section, in_plain_words, read_yaml
from rap_plugin.errors import RapError, one_line
from rap_plugin.modality_gap.recipes import assign


class RegionSftConfig(Section):
    """Supervised fine-tuning on interleaved rows."""

    learning_rate: float = Field(2e-7, gt=0, description="highest; cosine down to 0")
    warmup: float = Field(0.03, ge=0, lt=1, description="share of the steps over which the learning rate rises")
    weight_decay: float = Field(0.0, ge=0, description="of AdamW")
    epochs: float = Field(4, gt=0, description="passes over the rows")
    max_steps: int | None = Field(None, ge=1, description="optimiser steps, in place of epochs")
    rows: int = Field(192, ge=1, description="rows of one optimiser step")
    max_tokens: int = Field(4096, ge=1, description="longest row, crops included; longer ones are left out and counted")
    max_pixels: int = Field(1_605_632, ge=1, description="of an image")
    trl: dict[str, Any] = Field(default_factory=dict, description="further fields of TRL's SFTConfig")


class RegionRlConfig(Section):
    """R-GRPO from the weights after SFT."""

    learning_rate: float = Field(1e-6, gt=0, description="constant")
    epochs: float = Field(2, gt=0, description="passes over the problems")
    max_steps: int | None = Field(None, ge=1, description="optimiser steps, in place of epochs")
    prompts: int = Field(40, ge=1, description="problems of one optimiser step")
    rollouts: int = Field(5, ge=2, description="responses to each problem")
    temperature: float = Field(1.0, gt=0, description="of the responses")
    beta: float = Field(0.0, ge=0, description="weight of the KL to the model at the start")
    max_new_tokens: int = Field(2048, ge=1, description="tokens that a response may sample")
    max_segments: int = Field(8, ge=1, description="boxes that a response may ask for")
    max_turn_tokens: int = Field(16_384, ge=2, description="tokens of prompt and turn together, crops included")
    max_pixels: int = Field(3_211_264, ge=1, description="of an image")
    reward: Literal["released", "paper"] = Field("released", description="preset of the reward's terms")
    evidence: float = Field(0.0, ge=0, description="what meeting the known evidence is worth; 0 as published")
    mask_unfinished: bool = Field(False, description="responses that ran out teach nothing, instead of being wrong")
    trl: dict[str, Any] = Field(default_factory=dict, description="further fields of TRL's GRPOConfig")


class RegionRecipe(Section):
    """Both steps; either may be left out (`sft: null`)."""

    sft: RegionSftConfig | None = Field(default_factory=RegionSftConfig)
    rl: RegionRlConfig | None = Field(default_factory=RegionRlConfig)
    instruction: str | None = Field(
        None, description="behind every question; none: the one that `rap r3 run` puts there; '': nothing"
    )
    coordinates: Literal["auto", "resized", "normalised", "raw"] = Field("auto", description="of the boxes: see r3")
    min_pixels: int = Field(3136, ge=1, description="of an image")
    train_vision: bool = Field(False, description="train the vision tower and the projector too")
    save_every: int = Field(50, ge=1, description="optimiser steps between checkpoints; the newest is kept")

    def changed(self, assignments: Iterable[str]) -> RegionRecipe:
        """This recipe with `NAME=VALUE` put in, names dotted, values YAML. Raises RapError for what cannot be."""
        tree = self.model_dump()
        for assignment in assignments:
            assign(tree, assignment)
        return read_region_recipe(tree, "--set")


def read_region_recipe(tree: Mapping[str, Any], where: str) -> RegionRecipe:
    """A recipe from plain data. Raises RapError, one line, for an unknown name or an impossible value."""
    try:
        recipe = RegionRecipe.model_validate(dict(tree))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise RapError(f"{where}: {name}: {in_plain_words(first)} (got {one_line(repr(first['input']), 80)})") from None
    if recipe.sft is None and recipe.rl is None:
        raise RapError(f"{where}: sft and rl are both left out; there is nothing to train")
    return recipe


def load_region_recipe(path: Path | None) -> RegionRecipe:
    """The recipe of a YAML file; the published one where none is given. Raises RapError for no such file."""
    if path is None:
        return RegionRecipe()
    return read_region_recipe(read_yaml(path, "`sft:` and `rl:`"), str(path))
