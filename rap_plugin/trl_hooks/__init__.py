"""TRL's side: select a `datasets.Dataset` before training, reward with our graders, select again while training.

Plain functions and one callback; TRL stays as it is installed. The names below load what they need when they are
first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rap_plugin.trl_hooks.contrastive_trainer import ContrastiveGRPOTrainer
    from rap_plugin.trl_hooks.dapo_trainer import DapoTrainer
    from rap_plugin.trl_hooks.following import follow
    from rap_plugin.trl_hooks.representation import prompt_groups
    from rap_plugin.trl_hooks.reselect import Reselection, log_selection
    from rap_plugin.trl_hooks.rewards import accuracy_reward, format_reward, make_reward, modality_gap_reward
    from rap_plugin.trl_hooks.select import select_dataset

_HOMES = {
    "ContrastiveGRPOTrainer": "rap_plugin.trl_hooks.contrastive_trainer",
    "DapoTrainer": "rap_plugin.trl_hooks.dapo_trainer",
    "Reselection": "rap_plugin.trl_hooks.reselect",
    "accuracy_reward": "rap_plugin.trl_hooks.rewards",
    "follow": "rap_plugin.trl_hooks.following",
    "format_reward": "rap_plugin.trl_hooks.rewards",
    "log_selection": "rap_plugin.trl_hooks.reselect",
    "make_reward": "rap_plugin.trl_hooks.rewards",
    "modality_gap_reward": "rap_plugin.trl_hooks.rewards",
    "prompt_groups": "rap_plugin.trl_hooks.representation",
    "select_dataset": "rap_plugin.trl_hooks.select",
}

__all__ = [
    "ContrastiveGRPOTrainer",
    "DapoTrainer",
    "Reselection",
    "accuracy_reward",
    "follow",
    "format_reward",
    "log_selection",
    "make_reward",
    "modality_gap_reward",
    "prompt_groups",
    "select_dataset",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
