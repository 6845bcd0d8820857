"""All benchmarks by name, and the groups of tasks that papers report."""

from rap_plugin.errors import RapError
from rap_plugin.evaluation.benchmarks.base import Benchmark, Part, Row, Source
from rap_plugin.evaluation.benchmarks.cv_bench import CV_BENCH
from rap_plugin.evaluation.benchmarks.hrbench import HRBENCH
from rap_plugin.evaluation.benchmarks.logicvista import LOGICVISTA
from rap_plugin.evaluation.benchmarks.mathverse import MATHVERSE, TEXT, VISION
from rap_plugin.evaluation.benchmarks.mathvista import MATHVISTA
from rap_plugin.evaluation.benchmarks.mme_realworld import MME_REALWORLD, MME_REALWORLD_LITE
from rap_plugin.evaluation.benchmarks.mmstar import MMSTAR
from rap_plugin.evaluation.benchmarks.mmvet import MMVET
from rap_plugin.evaluation.benchmarks.mmvp import MMVP
from rap_plugin.evaluation.benchmarks.pgps9k import PGPS9K
from rap_plugin.evaluation.benchmarks.pope import POPE
from rap_plugin.evaluation.benchmarks.scienceqa import SCIENCEQA
from rap_plugin.evaluation.benchmarks.vcr_wiki import VCR_WIKI
from rap_plugin.evaluation.benchmarks.vstar import VSTAR
from rap_plugin.evaluation.benchmarks.wemath import WEMATH

__all__ = ["BENCHMARKS", "GROUPS", "Benchmark", "Part", "Row", "Source", "find_benchmark", "find_task"]

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        MATHVISTA,
        MATHVERSE,
        WEMATH,
        MMSTAR,
        LOGICVISTA,
        MMVET,
        POPE,
        VCR_WIKI,
        PGPS9K,
        VSTAR,
        MMVP,
        CV_BENCH,
        SCIENCEQA,
        HRBENCH,
        MME_REALWORLD,
        MME_REALWORLD_LITE,
    )
}

GROUPS: dict[str, tuple[str, ...]] = {
    "mathverse": tuple(f"mathverse_{part}" for part in (*TEXT, *VISION)),
    "mathverse_text": tuple(f"mathverse_{part}" for part in TEXT),
    "mathverse_vision": tuple(f"mathverse_{part}" for part in VISION),
    "pope": ("pope_adversarial", "pope_popular", "pope_random"),
    "vcr_wiki": ("vcr_wiki_en_easy", "vcr_wiki_en_hard", "vcr_wiki_zh_easy", "vcr_wiki_zh_hard"),
    "pgps9k": ("pgps9k_text", "pgps9k_image"),
    "cv_bench": ("cv_bench_2d", "cv_bench_3d"),
    "hrbench": ("hrbench_4k", "hrbench_8k"),
    "reported": ("mathvista", "mmstar", "mathverse", "wemath", "mmvet", "logicvista"),
    "modality_gap": ("pgps9k", "mathverse_text", "mathverse_vision"),
    "vlm_r3": ("vstar", "mmvp", "cv_bench", "scienceqa_img", "hrbench", "mme_realworld_lite"),
}
"""Group to its tasks and groups. `mathverse` is the five versions with an image (Text Only has none)."""


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
