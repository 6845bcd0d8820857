"""verl: a data set of the selected rows, drawn by the training's own rollouts, and the reward of our graders.

`data.custom_cls.path=pkg://rap_plugin.verl_hooks data.custom_cls.name=RapDataset`. Importing this package does not
import verl; asking for one of the names that subclass or wrap verl's does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rap_plugin.verl_hooks.dataset import RapDataset
    from rap_plugin.verl_hooks.replay import RapReplayBuffer
    from rap_plugin.verl_hooks.reward import compute_score

__all__ = ["RapDataset", "RapReplayBuffer", "compute_score"]

_HOMES = {"RapDataset": "dataset", "RapReplayBuffer": "replay", "compute_score": "reward"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
