"""Names of our tasks in both hosts. In lmms-eval a prefix keeps them apart from built-in ones, which win silently."""

from __future__ import annotations

from typing import Literal

from rap_plugin.evaluation.benchmarks import BENCHMARKS, Benchmark, find_task

PREFIX = "rap_"
Variant = Literal["", "blind", "direct"]


def variants_of(benchmark: Benchmark, part: str) -> tuple[Variant, ...]:
    """The forms that a part has: a problem without an image has no blind one."""
    blind: tuple[Variant, ...] = () if part == "text_only" else ("blind",)
    direct: tuple[Variant, ...] = ("direct",) if benchmark.direct else ()
    return ("", *blind, *direct)


def task_name(task: str, variant: Variant = "") -> str:
    """ "mathverse_vision_only", "blind" -> "rap_mathverse_vision_only_blind"."""
    return f"{PREFIX}{task}{f'_{variant}' if variant else ''}"


def split_name(name: str) -> tuple[str, Variant]:
    """(task, variant) of a task's name; KeyError for the name of another task."""
    bare = name.removeprefix(PREFIX)
    for variant in ("blind", "direct"):
        if bare.endswith(f"_{variant}") and bare != name:
            find_task(bare.removesuffix(f"_{variant}"))
            return bare.removesuffix(f"_{variant}"), variant
    if bare == name:
        raise KeyError(name)
    find_task(bare)
    return bare, ""


def all_tasks() -> list[tuple[Benchmark, str, Variant]]:
    """Every (benchmark, part, variant)."""
    return [
        (benchmark, part.name, variant)
        for benchmark in BENCHMARKS.values()
        for part in benchmark.parts
        for variant in variants_of(benchmark, part.name)
    ]


def dataset_name(benchmark: Benchmark, part: str, blind: bool = False) -> str:
    """In VLMEvalKit: "RAP_MathVerse_vision_only", with "_blind" for the images withheld."""
    return "_".join(filter(None, ("RAP", benchmark.dataset or benchmark.title, part, "blind" if blind else "")))


DATASETS: dict[str, tuple[str, str, bool]] = {
    dataset_name(benchmark, part, variant == "blind"): (benchmark.name, part, variant == "blind")
    for benchmark, part, variant in all_tasks()
    if variant != "direct"
}
"""VLMEvalKit data set to benchmark, part, and whether its images are withheld."""
