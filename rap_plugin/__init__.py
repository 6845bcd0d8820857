"""RAP: which few percent of a multimodal RL pool are worth training on.

The names below load what they need when they are first used; importing the package loads none of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rap_plugin.config import RunConfig, load_config
    from rap_plugin.errors import RapError
    from rap_plugin.hookspecs import hookimpl
    from rap_plugin.pipeline.select import RunResult, decide_run, select_run
    from rap_plugin.pipeline.selection import load_selection
    from rap_plugin.samples.sample import Sample
    from rap_plugin.selectors.base import Decision, Selection

_HOMES = {
    "Decision": "rap_plugin.selectors.base",
    "RapError": "rap_plugin.errors",
    "RunConfig": "rap_plugin.config",
    "RunResult": "rap_plugin.pipeline.select",
    "Sample": "rap_plugin.samples.sample",
    "Selection": "rap_plugin.selectors.base",
    "decide_run": "rap_plugin.pipeline.select",
    "hookimpl": "rap_plugin.hookspecs",
    "load_config": "rap_plugin.config",
    "load_selection": "rap_plugin.pipeline.selection",
    "select_run": "rap_plugin.pipeline.select",
}

__all__ = [
    "Decision",
    "RapError",
    "RunConfig",
    "RunResult",
    "Sample",
    "Selection",
    "decide_run",
    "hookimpl",
    "load_config",
    "load_selection",
    "select_run",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
