"""All benchmarks by name, and the groups of tasks that papers report.

A benchmark is one file of this folder that defines a `Benchmark`: nothing else has to name it.
"""

import importlib
import pkgutil

from rap_plugin.errors import RapError
from rap_plugin.evaluation.benchmarks.base import Benchmark, HubSource, Part, Row

__all__ = ["BENCHMARKS", "GROUPS", "REPORTED", "Benchmark", "HubSource", "Part", "Row", "find_benchmark", "find_task"]

REPORTED = ("mathvista", "mmstar", "mathverse", "wemath", "mmvet", "logicvista")
"""The six benchmarks of the RAP table, in its order."""


def _defined_here() -> dict[str, Benchmark]:
    """Every `Benchmark` that a file of this folder defines, those of the RAP table first."""
    found: dict[str, Benchmark] = {}
    for module in pkgutil.iter_modules(__path__):
        values = vars(importlib.import_module(f"{__name__}.{module.name}")).values()
        found |= {value.name: value for value in values if isinstance(value, Benchmark)}
    order = [*REPORTED, *sorted(set(found) - set(REPORTED))]
    return {name: found[name] for name in order}


BENCHMARKS: dict[str, Benchmark] = _defined_here()

GROUPS: dict[str, tuple[str, ...]] = {
    **{
        name: tuple(benchmark.task(part) for part in parts)
        for benchmark in BENCHMARKS.values()
        for name, parts in benchmark.groups.items()
    },
    "reported": REPORTED,
    "modality_gap": ("pgps9k", "mathverse_text", "mathverse_vision"),
    "vlm_r3": ("vstar", "mmvp", "cv_bench", "scienceqa_img", "hrbench", "mme_realworld_lite"),
}
"""Group to its tasks and groups."""


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of that name; RapError with the known names for another one."""
    if name not in BENCHMARKS:
        raise RapError(f"no benchmark {name!r}: use one of {', '.join(sorted(BENCHMARKS))}")
    return BENCHMARKS[name]


def find_task(task: str) -> tuple[Benchmark, Part]:
    """The benchmark and part of a task name such as "mathverse_vision_only"; KeyError for another name."""
    for benchmark in BENCHMARKS.values():
        for part in benchmark.parts:
            if benchmark.task(part.name) == task:
                return benchmark, part
    raise KeyError(task)
