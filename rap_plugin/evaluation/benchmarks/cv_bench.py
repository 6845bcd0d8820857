"""CV-Bench (arXiv 2406.16860): counts, relations, depth and distance, in 2D and 3D."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.evaluation.benchmarks.base import (
    LETTER_ONLY,
    Benchmark,
    HubSource,
    Part,
    Row,
    RowProblem,
    gold_letter,
    group,
    image_of,
    maybe_text,
    text_of,
    texts_of,
)
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.measures import mean_over, where


def parts_of(row: Row, where: str) -> Sequence[str]:
    """2D or 3D, as the row says."""
    kind = maybe_text(row, "type").lower()
    return (kind,) if kind in ("2d", "3d") else ()


def read(row: Row, part: str) -> BenchmarkItem:
    """`prompt` is the question with its options."""
    options = texts_of(row, "choices")
    if len(options) < 2:
        raise RowProblem("no options in column 'choices'")
    return BenchmarkItem(
        id=text_of(row, "idx", "index"),
        question=text_of(row, "prompt"),
        gold=gold_letter(text_of(row, "answer"), options),
        kind="choice",
        options=options,
        groups=group({"task": row.get("task"), "source": row.get("source")}),
        image=image_of(row, "image"),
    )


CV_BENCH = Benchmark(
    name="cv_bench",
    title="CV-Bench",
    paper="2406.16860",
    dataset="CVBench",
    parts=(Part("2d", 1438), Part("3d", 1200)),
    sources=(HubSource("nyu-visionx/CV-Bench", "test"),),
    read=read,
    parts_of=parts_of,
    # Official: 2D is the mean of ADE20K and COCO, 3D is Omni3D, CV-Bench the mean of both.
    measures=(
        mean_over("source", "official"),
        where("task", "Count"),
        where("task", "Relation"),
        where("task", "Depth"),
        where("task", "Distance"),
    ),
    headline="official",
    direct=LETTER_ONLY,
    groups={"cv_bench": ("2d", "3d")},
)
