"""How many rollouts of a batch were right, per sample."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from rap_plugin.errors import RapError

Groups = dict[str, tuple[int, int]]
"""id -> (right, wrong)"""


def groups_of_batch(batch: Any, right_at: float) -> Groups:
    """From the `DataProto` of a finished batch, which holds one row a rollout."""
    columns = batch.non_tensor_batch
    if "rap_id" not in columns:
        raise RapError(
            "the batch has no column rap_id, so its rollouts cannot be counted; is RapDataset the training data set?"
        )
    rewards = batch.batch["token_level_scores"].sum(-1).tolist()
    said = [
        {name: columns[name][i] for name in ("acc", "graded") if name in columns} for i in range(len(columns["rap_id"]))
    ]
    return count(zip(columns["rap_id"], rewards, said, strict=True), right_at)


def count(rollouts: Iterable[tuple[Any, float, Mapping[str, Any]]], right_at: float) -> Groups:
    """Counts rollouts (id, reward, what the reward said of it) per id.

    Right is what the reward calls `acc`, else a reward of at least `right_at`. A rollout that could not be graded
    (`graded` is 0, or no finite number) says nothing, and so counts neither as right nor as wrong.
    """
    groups: Groups = {}
    for identity, reward, said in rollouts:
        if identity is None or not _number(said.get("graded"), 1.0):
            continue
        value = _number(said.get("acc"), reward)
        if not math.isfinite(value):
            continue
        right = value >= right_at
        before = groups.get(str(identity), (0, 0))
        groups[str(identity)] = (before[0] + right, before[1] + (not right))
    return groups


def _number(value: Any, otherwise: float) -> float:
    try:
        return otherwise if value is None else float(value)
    except (TypeError, ValueError):
        return otherwise
