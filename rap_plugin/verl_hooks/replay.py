"""Fresh evidence out of verl's default trainer, and the selection into its logs: its replay buffer, watched.

`trainer.v1.sampler.custom_sampler.path=pkg://rap_plugin.verl_hooks` with `.name=RapReplayBuffer`. verl calls the name
with what its buffers take; one argument, `refill_fn`, is a method of the trainer, which holds the data set.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.pipeline.metrics import metrics_of_run
from rap_plugin.verl_hooks import contract
from rap_plugin.verl_hooks.followed import FollowedRows
from rap_plugin.verl_hooks.options import RENEWED, RENEWING_LOOP
from rap_plugin.verl_hooks.rollout_counts import count

logger = logging.getLogger("rap_plugin.verl")

TRAINING = "train"
"""verl's name for the part of its store that training rollouts are in."""


def RapReplayBuffer(refill_fn: Callable[[int], int], **given: Any) -> Any:
    """The replay buffer that verl's configuration asks for, which tells the data set about every group that leaves it.

    Groups that are trained on and groups that verl's own filter throws out (all rollouts alike) both count: the latter
    are what the curriculum has to learn about. What is sampled stays verl's choice. The metrics that verl logs with a
    batch get the batch's share of informative groups and, the first time, those of the selection.
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
    _require_renewing(trainer)
    buffer = _without_custom_sampler(trainer)
    sample, evict = buffer.sample, buffer._evict_terminal_groups
    about = _SelectionMetrics(trainer)

    @wraps(sample)
    def sample_and_tell(global_steps: int, partition_id: str, batch_size: int) -> Any:
        batch, metrics = sample(global_steps, partition_id, batch_size)
        if partition_id == TRAINING and _reads_a_selection(trainer):
            rollouts = read_rollouts(batch.keys)
            _tell(trainer, rollouts)
            metrics = {**metrics, **informative_groups(rollouts), **_followed_metrics(trainer), **about.once()}
        return batch, metrics

    @wraps(evict)
    def evict_and_tell(global_steps: int, partition_id: str, eviction_reasons: Any) -> Any:
        alike = eviction_reasons[1]
        if partition_id == TRAINING and alike and _curriculum_of(trainer) is not None:
            _tell(
                trainer, read_rollouts([key for key in buffer.partitions[partition_id] if key.split("_")[0] in alike])
            )
        return evict(global_steps, partition_id, eviction_reasons)

    buffer.sample, buffer._evict_terminal_groups = sample_and_tell, evict_and_tell
    return buffer


class _SelectionMetrics:
    """The metrics of the selection that the trainer's data set reads, given once."""

    def __init__(self, trainer: Any) -> None:
        self._trainer, self._given = trainer, False

    def once(self) -> dict[str, float]:
        if self._given:
            return {}
        self._given = True
        try:
            return metrics_of_run(self._trainer.train_dataset.chosen.run)
        except RapError as error:  # a run that was copied without its evidence
            logger.warning("rap: the selection is not in the logs: %s", error)
            return {}


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


def _reads_a_selection(trainer: Any) -> bool:
    return getattr(getattr(trainer, "train_dataset", None), "chosen", None) is not None


def _curriculum_of(trainer: Any) -> Any:
    return getattr(getattr(trainer, "train_dataset", None), "curriculum", None)


def _tell(trainer: Any, rollouts: Sequence[FreshRollout]) -> None:
    if _curriculum_of(trainer) is not None:
        dataset = trainer.train_dataset
        said = ((rollout.identity, rollout.reward, rollout.said) for rollout in rollouts)
        dataset.learn(count(said, dataset.rap.right_at))
        blind = ((rollout.identity, said["score"], said) for rollout in rollouts for said in rollout.blind)
        dataset.learn_blind(count(blind, dataset.rap.right_at))


def _followed_metrics(trainer: Any) -> dict[str, float]:
    curriculum = _curriculum_of(trainer)
    return curriculum.metrics() if isinstance(curriculum, FollowedRows) else {}


def _require_renewing(trainer: Any) -> None:
    """Raises RapError where a blind arm is to be renewed and nothing samples it."""
    agent = trainer.config.actor_rollout_ref.rollout.agent
    # The data set is not there yet.
    renew = (trainer.config.data.get("rap") or {}).get("renew")
    if renew and agent.default_agent_loop != RENEWING_LOOP:
        raise RapError(
            "data.rap.renew needs the agent loop that samples without the image; add "
            f'actor_rollout_ref.rollout.agent.default_agent_loop={RENEWING_LOOP} and .agent_loop_config_path="$(rap path '
            'verl-follow-agent)"'
        )


@dataclass(frozen=True)
class FreshRollout:
    """One session of verl's store."""

    group: str
    """The prompt's key: rollouts of one group are compared with each other."""
    identity: Any
    """`rap_id` of its row."""
    reward: float
    said: Mapping[str, Any]
    """What the reward function said beside the number."""
    blind: Sequence[Mapping[str, Any]] = ()
    """What it said of rollouts without the image that were sampled beside this one."""


def read_rollouts(keys: Iterable[str]) -> list[FreshRollout]:
    """From verl's store, by keys `{prompt}_{session}_{part}`; the parts of a session share a reward."""
    import transfer_queue

    last = {key.rsplit("_", 1)[0]: key for key in sorted(keys, key=_part)}
    if not last:
        return []
    fields = ["rap_id", "rm_scores", "extra_fields"]
    data = transfer_queue.kv_batch_get(keys=list(last.values()), partition_id=TRAINING, select_fields=fields)
    rows = zip(last, data["rap_id"], data["rm_scores"], data["extra_fields"], strict=True)
    found = []
    for session, identity, scores, extra in rows:
        said: Mapping[str, Any] = _plain(extra) or {}
        reward = said.get("reward_extra_info") or {}
        group = session.rsplit("_", 1)[0]
        found.append(FreshRollout(group, _plain(identity), float(scores.sum()), reward, said.get(RENEWED) or ()))
    return found


def informative_groups(rollouts: Sequence[FreshRollout]) -> dict[str, float]:
    """The share of groups whose rollouts got different rewards; nothing where no group has two."""
    groups: dict[str, list[float]] = {}
    for rollout in rollouts:
        groups.setdefault(rollout.group, []).append(rollout.reward)
    several = [rewards for rewards in groups.values() if len(rewards) > 1]
    if not several:
        return {}
    return {"rap/informative_groups": sum(max(rewards) > min(rewards) for rewards in several) / len(several)}


def _part(key: str) -> int:
    return int(key.rsplit("_", 1)[1])


def _plain(value: Any) -> Any:
    """A value out of tensordict's wrapper for what is no tensor."""
    return getattr(value, "data", value)
