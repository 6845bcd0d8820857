"""HR-Bench (arXiv 2408.15556): 4K and 8K images; every problem four times with its options rotated."""

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
    listed,
    named_in,
    options_in_columns,
    text_of,
)
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.measures import mean_over, where


def parts_of(row: Row, where: str) -> Sequence[str]:
    """By the file or split, which names the resolution."""
    return named_in(where, ("4k", "8k"))


def read(row: Row, part: str) -> BenchmarkItem:
    """Options in columns A to D."""
    options = options_in_columns(row)
    if len(options) < 2:
        raise RowProblem("no options in columns 'A' to 'D'")
    return BenchmarkItem(
        id=text_of(row, "index"),
        question=f"{text_of(row, 'question')}\n{listed(options)}",
        gold=gold_letter(text_of(row, "answer"), options),
        kind="choice",
        options=options,
        groups=group({"category": row.get("category"), "cycle": row.get("cycle_category")}),
        image=image_of(row, "image"),
    )


HRBENCH = Benchmark(
    name="hrbench",
    title="HR-Bench",
    paper="2408.15556",
    dataset="HRBench",
    parts=(Part("4k", 800), Part("8k", 800)),
    sources=(
        HubSource("DreamMr/HR-Bench", "hrbench_4k", "hrbench_version_split"),
        HubSource("DreamMr/HR-Bench", "hrbench_8k", "hrbench_version_split"),
    ),
    read=read,
    parts_of=parts_of,
    measures=(mean_over("cycle", "over_cycles"), where("category", "single"), where("category", "cross")),
    direct=LETTER_ONLY,
    groups={"hrbench": ("4k", "8k")},
    pooled=("4k", "8k"),
)
