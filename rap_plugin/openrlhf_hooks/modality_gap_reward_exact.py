"""The reward of the modality-gap work for OpenRLHF, without a tolerance, as it was published:
`--reward.remote_url "$(rap path openrlhf-modality-gap-reward-exact)"`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rap_plugin.modality_gap.reward import reward_grader
from rap_plugin.openrlhf_hooks.reward import rewards_by


def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **unused: Any) -> dict[str, Any]:
    """OpenRLHF's contract, as `rap_plugin.openrlhf_hooks.reward.reward_func` has it."""
    return rewards_by(reward_grader("exact"), queries, prompts, labels)
