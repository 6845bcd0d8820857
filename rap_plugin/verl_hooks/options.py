"""`data.rap.*`: what verl's configuration says about the run, and which of its files are for training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from rap_plugin.config import Section
from rap_plugin.errors import RapError
from rap_plugin.modality_gap.contrastive import ContrastiveLoss

CONTRASTIVE = ("contrastive", "contrastive_coefficient", "contrastive_sampled_by", "contrastive_key")
"""Names in `data.rap` that are the contrastive loss's, with `RapDataset` or without."""

RENEWED = "rap_blind"
"""In a row: how many rollouts without its image are asked for. In `extra_fields` of a rollout: what the reward says of them."""

RENEWING_LOOP = "rap_follow"
"""The agent loop that samples them."""


class VerlOptions(Section):
    """The section `data.rap` of verl's configuration; given as `+data.rap.NAME=VALUE`."""

    run_dir: str = Field(min_length=1, description="run directory of `rap select`, on every node")
    reweight: bool = Field(False, description="draw rows by how much their rollouts disagree, counted while training")
    follow: bool = Field(
        False, description="every row that was scored, in batches that the posterior of following draws"
    )
    responses: int = Field(5, ge=1, description="rollouts of a prompt, actor_rollout_ref.rollout.n; for follow")
    half_life: float = Field(100.0, gt=0, description="batches after which a rollout counts half; for follow")
    strength: float = Field(2.0, gt=0, description="rollouts that a group's rate counts for; for follow")
    explore: float = Field(0.1, ge=0, le=1, description="share of a batch for rows not asked for longest; for follow")
    image_weight: float = Field(0.5, ge=0, le=1, description="what a row loses that needs no image; for follow")
    headroom: float = Field(0.0, ge=0, description="exponent of 1 - success in a row's worth; for follow")
    renew: float = Field(0.0, ge=0, description="rollouts without the image, as a share of the batch's; for follow")
    right_at: float = Field(
        0.5, allow_inf_nan=False, description="reward from which a rollout is right, where the reward gives no `acc`"
    )
    size_by: Literal["fill", "repeat"] = Field(
        "fill", description="where fewer rows are selected than a batch has: fill up with the next best, or repeat rows"
    )
    fade: float = Field(0.5, ge=0, le=1, description="what is left of a row's earlier counts when it is sampled again")


def read_options(config: Mapping[str, Any]) -> VerlOptions:
    """The options in verl's `data` section. Raises RapError, one line, for what is missing or unknown."""
    given = config.get("rap")
    if not given or not given.get("run_dir"):
        raise RapError("RapDataset needs the run: add +data.rap.run_dir=RUN, a run directory of `rap select`")
    try:
        options = VerlOptions.model_validate({str(name): given[name] for name in given if name not in CONTRASTIVE})
    except ValidationError as error:
        first = error.errors()[0]
        known = ", ".join(VerlOptions.model_fields)
        raise RapError(
            f"data.rap.{'.'.join(map(str, first['loc']))}: {first['msg'].lower()} (got {first['input']!r}; known: {known})"
        ) from None
    workers = config.get("dataloader_num_workers", 0)
    drawn = next((name for name in ("reweight", "follow") if getattr(options, name)), None)
    if options.reweight and options.follow:
        raise RapError("data.rap.reweight and data.rap.follow are two ways to draw rows; leave one of them out")
    if drawn and workers:
        raise RapError(
            f"data.rap.{drawn} needs data.dataloader_num_workers=0, not {workers}: workers fetch rows "
            "before the last rollouts are counted"
        )
    if options.renew and not options.follow:
        raise RapError("data.rap.renew needs +data.rap.follow=True: it renews what following believes")
    if drawn and options.size_by == "repeat":
        raise RapError(f"data.rap.{drawn} draws rows as often as they are worth it; leave data.rap.size_by at fill")
    return options


def contrastive_of(section: Mapping[str, Any]) -> tuple[ContrastiveLoss, str]:
    """The loss and the column of the other prompts, of verl's `data.rap`. Raises RapError, one line."""
    given = {name: section.get(name) for name in CONTRASTIVE}
    if given["contrastive"] is None:
        raise RapError("the agent loop rap_contrastive needs +data.rap.contrastive=FORM (k3, forward_kl or nll)")
    wanted = {name: given[f"contrastive_{name}"] for name in ("coefficient", "sampled_by")}
    options = {name: value for name, value in wanted.items() if value is not None}
    return ContrastiveLoss(given["contrastive"], **options), given["contrastive_key"] or "contrastive_prompt"


def rows_per_batch(config: Mapping[str, Any]) -> int:
    """Rows of one batch of verl's data loader, below which it makes no step."""
    return max(int(config.get(name) or 0) for name in ("train_batch_size", "gen_batch_size"))


def for_validation(data_files: Any, config: Mapping[str, Any]) -> bool:
    """Whether these are verl's validation files; files used for both count as training."""
    files = names_of(data_files)
    return files == names_of(config.get("val_files")) and files != names_of(config.get("train_files"))


def names_of(files: Any) -> list[str]:
    """verl's one file or list of files as a list."""
    if files is None:
        return []
    return [files] if isinstance(files, str) else [str(name) for name in files] if isinstance(files, Iterable) else []
