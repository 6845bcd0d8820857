"""What a training gets beside its rows: the contrastive loss, and numbers in its logs. Checked before Ray starts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.modality_gap.contrastive import ContrastiveLoss
from rap_plugin.openrlhf_hooks import contract, dataset
from rap_plugin.openrlhf_hooks.row_prompts import require_column

OTHER_PROMPT = "contrastive_prompt"
"""The column of the other prompts, as `rap modality-gap prepare` names it."""


@dataclass(frozen=True)
class Additions:
    """What our subclasses of OpenRLHF's trainers are told; sent to their Ray processes."""

    metrics: dict[str, float] = field(default_factory=dict)
    """Of the selection, for the logs."""
    other_key: str | None = None
    """The column of the other prompts, for the contrastive loss."""


def require_additions(args: SimpleNamespace, given: Mapping[str, Any]) -> Additions:
    """What the flags add to a training. Raises RapError where it cannot be had."""
    loss = contrastive_of(given)
    if loss is None:
        return Additions()
    contract.require_contrastive()
    if args.train.dynamic_batch_enable:
        raise RapError(
            "--rap.contrastive counts the chosen tokens of an optimizer step by micro-batches of --train.micro_batch_size; "
            "leave out --train.dynamic_batch_enable"
        )
    key = given["contrastive_key"] or OTHER_PROMPT
    require_column(dataset.read_dataset(args), key)
    args.rap_contrastive = asdict(loss)
    return Additions(other_key=key)


def contrastive_of(given: Mapping[str, Any]) -> ContrastiveLoss | None:
    """The loss that the flags name. Raises RapError for a form, a coefficient or a sampler that there is not."""
    details = {name: given[f"contrastive_{name}"] for name in ("coefficient", "sampled_by")}
    wanted = {name: value for name, value in details.items() if value is not None}
    if given["contrastive"] is None:
        if wanted or given["contrastive_key"] is not None:
            raise RapError(f"--rap.contrastive_{next(iter(wanted), 'key')} needs --rap.contrastive FORM")
        return None
    return ContrastiveLoss(given["contrastive"], **wanted)


def metrics_for(args: SimpleNamespace, metrics: dict[str, float]) -> dict[str, float]:
    """The metrics of a selection where the training logs at all, and can; without a logger OpenRLHF's own class stays."""
    if not (args.logger.wandb.key or args.logger.tensorboard_dir):
        return {}
    if moved := contract.not_logged():
        print(f"rap-plugin: the selection is not in the trainer's logs: {moved}", file=sys.stderr, flush=True)
        return {}
    return metrics
