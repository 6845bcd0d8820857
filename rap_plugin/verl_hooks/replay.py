"""Fresh evidence out of verl's default trainer: its replay buffer, as verl builds it, watched.

`trainer.v1.sampler.custom_sampler.path=pkg://rap_plugin.verl_hooks` with `.name=RapReplayBuffer`. verl calls the name
with what its buffers take; one argument, `refill_fn`, is a method of the trainer, which holds the data set.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.verl_hooks import contract
from rap_plugin.verl_hooks.rollout_counts import Groups, count

logger = logging.getLogger("rap_plugin.verl")

TRAINING = "train"
"""verl's name for the part of its store that training rollouts are in."""


def RapReplayBuffer(refill_fn: Callable[[int], int], **given: Any) -> Any:
    """The replay buffer that verl's configuration asks for, which tells the data set about every group that leaves it.

    Groups that are trained on and groups that verl's own filter throws out (all rollouts alike) both count: the latter
    are what the curriculum has to learn about. What is sampled stays verl's choice.
    """
    contract.require(contract.TRAINER)
    trainer: Any = getattr(refill_fn, "__self__", None)
    if trainer is None:
        raise RapError("RapReplayBuffer: refill_fn is no method of verl's trainer; name it in trainer.v1.sampler only")
    model = trainer.config.reward.reward_model
    if model.enable and not model.enable_resource_pool:
        raise RapError(
            "RapReplayBuffer: a colocated reward model gives rewards after sampling, too late to count its rollouts; "
            "add reward.reward_model.enable_resource_pool=True, or leave RapReplayBuffer out"
        )
    buffer = _without_custom_sampler(trainer)
    sample, evict = buffer.sample, buffer._evict_terminal_groups

    @wraps(sample)
    def sample_and_tell(global_steps: int, partition_id: str, batch_size: int) -> Any:
        batch, metrics = sample(global_steps, partition_id, batch_size)
        if partition_id == TRAINING:
            _tell(trainer, batch.keys)
        return batch, metrics

    @wraps(evict)
    def evict_and_tell(global_steps: int, partition_id: str, eviction_reasons: Any) -> Any:
        alike = eviction_reasons[1]
        if partition_id == TRAINING and alike:
            _tell(trainer, [key for key in buffer.partitions[partition_id] if key.split("_")[0] in alike])
        return evict(global_steps, partition_id, eviction_reasons)

    buffer.sample, buffer._evict_terminal_groups = sample_and_tell, evict_and_tell
    return buffer


def _without_custom_sampler(trainer: Any) -> Any:
    """verl's own choice of buffer, with everything that its configuration says about it."""
    from omegaconf import open_dict

    custom = trainer.config.trainer.v1.sampler.custom_sampler
    path = custom.path
    with open_dict(custom):
        custom.path = None
        try:
            return trainer._build_replay_buffer()
        finally:
            custom.path = path


def _tell(trainer: Any, keys: Iterable[str]) -> None:
    dataset: Any = getattr(trainer, "train_dataset", None)
    if getattr(dataset, "curriculum", None) is None:
        return
    dataset.learn(groups_of_keys(list(keys), dataset.rap.right_at))


def groups_of_keys(keys: list[str], right_at: float) -> Groups:
    """From verl's store of rollouts, by their keys `{prompt}_{session}_{part}`; the parts of a session share a reward."""
    import transfer_queue

    last = {key.rsplit("_", 1)[0]: key for key in sorted(keys, key=_part)}
    if not last:
        return {}
    fields = ["rap_id", "rm_scores", "extra_fields"]
    data = transfer_queue.kv_batch_get(keys=list(last.values()), partition_id=TRAINING, select_fields=fields)
    rows = zip(data["rap_id"], data["rm_scores"], data["extra_fields"], strict=True)
    return count(
        (
            (_plain(identity), float(scores.sum()), (_plain(extra) or {}).get("reward_extra_info") or {})
            for identity, scores, extra in rows
        ),
        right_at,
    )


def _part(key: str) -> int:
    return int(key.rsplit("_", 1)[1])


def _plain(value: Any) -> Any:
    """A value out of tensordict's wrapper for what is no tensor."""
    return getattr(value, "data", value)
