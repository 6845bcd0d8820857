"""RAP: which few percent of a multimodal RL pool are worth training on.

    import rap_plugin
    run = rap_plugin.select("pool.parquet", model="Qwen/Qwen2.5-VL-7B-Instruct", out="run")
    run = rap_plugin.open_run("run")          # later, to read
    run.verdicts, run.scores.to_pandas(), run.decide(lambda_c=0.3), run.selected()
    rap_plugin.compare(["run", "other"]); rap_plugin.export("run", "trl"); rap_plugin.verify("run")

The names below load what they need when they are first used; importing the package loads none of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rap_plugin.config import RunConfig, load_config
    from rap_plugin.errors import RapError
    from rap_plugin.exports import export_run as export
    from rap_plugin.hookspecs import hookimpl
    from rap_plugin.pipeline.compare import compare_runs as compare
    from rap_plugin.pipeline.opened import Run, open_run, select
    from rap_plugin.pipeline.select import RunResult, decide_run, select_run
    from rap_plugin.pipeline.selection import load_selection
    from rap_plugin.pipeline.verify import verify_run as verify
    from rap_plugin.samples.sample import Sample
    from rap_plugin.selectors.base import Decision, Selection

    __version__: str

_HOMES = {
    "Decision": "rap_plugin.selectors.base",
    "RapError": "rap_plugin.errors",
    "Run": "rap_plugin.pipeline.opened",
    "RunConfig": "rap_plugin.config",
    "RunResult": "rap_plugin.pipeline.select",
    "Sample": "rap_plugin.samples.sample",
    "Selection": "rap_plugin.selectors.base",
    "compare": "rap_plugin.pipeline.compare",
    "decide_run": "rap_plugin.pipeline.select",
    "export": "rap_plugin.exports",
    "hookimpl": "rap_plugin.hookspecs",
    "load_config": "rap_plugin.config",
    "load_selection": "rap_plugin.pipeline.selection",
    "open_run": "rap_plugin.pipeline.opened",
    "select": "rap_plugin.pipeline.opened",
    "select_run": "rap_plugin.pipeline.select",
    "verify": "rap_plugin.pipeline.verify",
}

_NAMES_THERE = {"compare": "compare_runs", "export": "export_run", "verify": "verify_run"}
"""What has another name in its own module."""

__all__ = [
    "Decision",
    "RapError",
    "Run",
    "RunConfig",
    "RunResult",
    "Sample",
    "Selection",
    "__version__",
    "compare",
    "decide_run",
    "export",
    "hookimpl",
    "load_config",
    "load_selection",
    "open_run",
    "select",
    "select_run",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("rap-plugin")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), _NAMES_THERE.get(name, name))


def __dir__() -> list[str]:
    return sorted(__all__)
