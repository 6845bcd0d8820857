"""What a training gets beside its rows: following, the contrastive loss, numbers in its logs. Checked before Ray starts."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rap_plugin.errors import RapError
from rap_plugin.hosts.follower import beliefs_of_run
from rap_plugin.modality_gap.contrastive import ContrastiveLoss
from rap_plugin.openrlhf_hooks import contract, dataset
from rap_plugin.openrlhf_hooks.batches import fitting_rows
from rap_plugin.openrlhf_hooks.flags import FOLLOW, attention_test
from rap_plugin.openrlhf_hooks.row_prompts import require_column
from rap_plugin.posterior.attention import AttentionTest
from rap_plugin.posterior.following import ATTENTION, BLIND, IMAGE, FollowOptions, group_numbers

OTHER_PROMPT = "contrastive_prompt"
"""The column of the other prompts, as `rap modality-gap prepare` names it."""


@dataclass(frozen=True)
class Following:
    """How the rows of a training follow the model."""

    options: FollowOptions
    length: int
    """Prompts of an episode, a number that all ranks share evenly."""
    right_at: float = 0.5
    groups: str | None = None
    """The column whose values share strength; None for the wording of the prompt."""
    evidence: tuple[NDArray[np.float64], ...] | None = None
    """(rows,) right and graded rollouts with the image, and without, and attention-biased and measured ones, where a selection was made first."""
    test: AttentionTest | None = None
    """What makes a response attention-biased, where psi has a part in following."""


@dataclass(frozen=True)
class Additions:
    """What our subclasses of OpenRLHF's trainers are told; sent to their Ray processes."""

    metrics: dict[str, float] = field(default_factory=dict)
    """Of the selection, for the logs."""
    other_key: str | None = None
    """The column of the other prompts, for the contrastive loss."""
    follow: Following | None = None


def require_additions(args: SimpleNamespace, given: Mapping[str, Any]) -> Additions:
    """What the flags add to a training. Raises RapError where it cannot be had."""
    key = _require_contrastive(args, given)
    return Additions(other_key=key, follow=_following_of(args, given))


def _require_contrastive(args: SimpleNamespace, given: Mapping[str, Any]) -> str | None:
    loss = contrastive_of(given)
    if loss is None:
        return None
    contract.require_contrastive()
    if args.train.dynamic_batch_enable:
        raise RapError(
            "--rap.contrastive counts the chosen tokens of an optimizer step by micro-batches of --train.micro_batch_size; "
            "leave out --train.dynamic_batch_enable"
        )
    key: str = given["contrastive_key"] or OTHER_PROMPT
    require_column(dataset.read_dataset(args), key)
    args.rap_contrastive = asdict(loss)
    return key


def _following_of(args: SimpleNamespace, given: Mapping[str, Any]) -> Following | None:
    """What the flags say of following. Raises RapError where rewards come too late to be followed."""
    numbers = {name: given[f"follow_{name}"] for name in FOLLOW if given[f"follow_{name}"] is not None}
    if not given["follow"]:
        if numbers or given["follow_groups"] is not None:
            raise RapError(f"--rap.follow_{next(iter(numbers), 'groups')} needs --rap.follow")
        return None
    contract.require_following()
    if not (args.reward.remote_url or args.train.agent_func_path):
        raise RapError(
            "--rap.follow follows the scores of --reward.remote_url or --train.agent_func_path; a reward model's come too late"
        )
    rows, groups = dataset.read_dataset(args), given["follow_groups"]
    if groups is not None and groups not in rows.column_names:
        raise RapError(
            f"--rap.follow_groups {groups}: the dataset has no such column; columns: {', '.join(rows.column_names)}"
        )
    if groups is not None:
        group_numbers(list(rows[groups]))
    right_at = numbers.pop("right_at", 0.5)
    if not math.isfinite(right_at):
        raise RapError(f"--rap.follow_right_at {right_at}: give the score from which a response counts as right")
    options = FollowOptions(args.rollout.n_samples_per_prompt, seed=args.train.seed, **numbers)
    test = attention_test(given)
    if options.attention_weight and not options.renew_attention and given["data_filter"] is None:
        raise RapError(
            "--rap.follow_attention_weight weighs nothing: give --rap.follow_renew_attention, or a --data_filter that measures attention"
        )
    if options.renew_attention:
        _require_plain_responses(args)
    return Following(options, _length(args, len(rows)), right_at, groups, test=test)


def _require_plain_responses(args: SimpleNamespace) -> None:
    """Raises RapError where a response is more than what one model said in one go."""
    flag = "--rap.follow_renew_attention"
    if args.train.agent_func_path:
        raise RapError(
            f"{flag}: attention over several turns of --train.agent_func_path has no meaning; leave the flag out"
        )
    if args.train.partial_rollout_enable:
        raise RapError(
            f"{flag}: responses of --train.partial_rollout_enable are of more than one model; leave one of them out"
        )


def _length(args: SimpleNamespace, rows: int) -> int:
    counts = fitting_rows(args)
    return counts.below(rows) or counts.above(rows)


def from_evidence(following: Following, args: SimpleNamespace, run: Path, rows: Sequence[int]) -> Following:
    """Following that starts from a run's evidence; `rows` are the numbers in its pool of the rows to train on."""
    known = beliefs_of_run(run, [0] * (max(rows) + 1), following.test)
    at = np.asarray(rows, dtype=np.int64)
    evidence = tuple(getattr(known, name)[at] for name in (*IMAGE, *BLIND, *ATTENTION))
    return replace(following, evidence=evidence, length=_length(args, len(rows)))


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
