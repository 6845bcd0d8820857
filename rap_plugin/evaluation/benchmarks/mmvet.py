"""MM-Vet (arXiv 2308.02490): open answers, officially scored by a judge; rules decide what they can."""

from __future__ import annotations

from rap_plugin.evaluation.benchmarks.base import Benchmark, HubSource, Part, Row, group, held, image_of, text_of
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.measures import Measure, at_least, at_most, where

CAPABILITIES = ("rec", "ocr", "know", "gen", "spat", "math")


def read(row: Row, part: str) -> BenchmarkItem:
    """The gold joins phrases with <AND> and <OR>; the capability column lists what a problem needs."""
    capability = held(row, "capability")
    needs = capability if isinstance(capability, (list, tuple)) else str(capability or "").split(",")
    return BenchmarkItem(
        id=text_of(row, "question_id", "id"),
        question=text_of(row, "question"),
        gold=text_of(row, "answer"),
        kind="wanted",
        groups=group({"capability": [str(one).strip() for one in needs]}),
        image=image_of(row, "image", "imagename"),
    )


MMVET = Benchmark(
    name="mmvet",
    title="MM-Vet",
    paper="2308.02490",
    dataset="MMVet",
    parts=(Part("", 218),),
    sources=(HubSource("lmms-lab/MMVet", "test", also=("lmms-lab-encoder/MMVet",)),),
    read=read,
    measures=(
        Measure("at_least", at_least),
        Measure("at_most", at_most),
        *(where("capability", name) for name in CAPABILITIES),
    ),
)
