"""Our benchmarks as VLMEvalKit data sets. Nothing here imports VLMEvalKit before one of its commands runs: importing
it loads its whole model zoo and turns the verification of TLS certificates off."""

from __future__ import annotations

from rap_plugin.evaluation.benchmarks import BENCHMARKS, Benchmark

Blind = bool

_OWN_TITLES = {
    "mathvista": "MathVista",
    "mathverse": "MathVerse",
    "wemath": "WeMath",
    "mmvet": "MMVet",
    "vcr_wiki": "VCR",
}
_OWN_TITLES |= {"pgps9k": "PGPS9K", "vstar": "VStar", "cv_bench": "CVBench", "scienceqa_img": "ScienceQA_IMG"}
_OWN_TITLES |= {"hrbench": "HRBench", "mme_realworld": "MME_RealWorld", "mme_realworld_lite": "MME_RealWorld_Lite"}


def dataset_name(benchmark: Benchmark, part: str, blind: bool = False) -> str:
    """ "RAP_MathVerse_vision_only", with "_blind" for the images withheld."""
    title = _OWN_TITLES.get(benchmark.name, benchmark.title)
    return "_".join(filter(None, ("RAP", title, part, "blind" if blind else "")))


DATASETS: dict[str, tuple[str, str, Blind]] = {
    dataset_name(benchmark, part.name, blind): (benchmark.name, part.name, blind)
    for benchmark in BENCHMARKS.values()
    for part in benchmark.parts
    for blind in (False, True)
    if not (blind and part.name == "text_only")
}
"""Data set name to benchmark, part, and whether its images are withheld."""
