"""Full CUDA graphs replay a step without running any Python, so that the attention call cannot be seen in them.

vLLM's default on GPUs (FULL_AND_PIECEWISE) uses them for every step that only decodes. While attention is captured they
are put aside: vLLM then takes its piecewise graphs, between which attention is called, or runs without a graph.
Nothing is compiled or captured again, and afterwards training or sampling uses exactly what it would have used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Restore = Callable[[], None]


class CannotPutAside(Exception):
    """Full graphs are in use, and this vLLM keeps them where we do not know: the message says what is missing."""


def put_aside_full_graphs(worker: Any) -> Restore:
    """Keeps vLLM's model runner from choosing full graphs until the returned function is called.

    Raises CannotPutAside where there are some and this vLLM has other names for them.
    """
    mode = getattr(worker.vllm_config.compilation_config, "cudagraph_mode", None)
    if mode is None or not mode.has_full_cudagraphs():
        return lambda: None
    runner = worker.model_runner
    try:
        if hasattr(runner, "cudagraph_dispatcher"):
            return _from_keys(runner.cudagraph_dispatcher.cudagraph_keys)
        return _from_candidates(runner.cudagraph_manager)
    except AttributeError as error:
        raise CannotPutAside(str(error)) from None


def _from_keys(keys: dict[Any, set[Any]]) -> Restore:
    """vLLM's first model runner: per kind of graph the batches that have one."""
    (full,) = [mode for mode in keys if mode.name == "FULL"]
    before = keys[full]
    keys[full] = set()

    def restore() -> None:
        keys[full] = before

    return restore


def _from_candidates(manager: Any) -> Restore:
    """vLLM's second model runner: per size of a batch the graphs that could run it, best first."""
    before = manager._candidates
    manager._candidates = {
        size: [graph for graph in graphs if graph.cg_mode.name != "FULL"] for size, graphs in before.items()
    }

    def restore() -> None:
        manager._candidates = before

    return restore
