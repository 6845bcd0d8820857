"""MMStar (arXiv 2403.20330): 1,500 choices that need the image, in six categories of 250."""

from __future__ import annotations

from rap_plugin.evaluation.benchmarks.base import (
    LETTER_ONLY,
    Benchmark,
    HubSource,
    Part,
    Row,
    gold_letter,
    group,
    image_of,
    listed,
    options_in_columns,
    text_of,
    without_instruction,
)
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.measures import where
from rap_plugin.grading.extract import parse_options

CATEGORIES = (
    "coarse perception",
    "fine-grained perception",
    "instance reasoning",
    "logical reasoning",
    "science & technology",
    "math",
)


def read(row: Row, part: str) -> BenchmarkItem:
    """The hub's rows list the options in the question; the TSV's have columns A to D beside it."""
    question = without_instruction(text_of(row, "question"))
    columns = options_in_columns(row)
    options = tuple(parse_options(question).values())
    if not options and len(columns) > 1:
        options = columns
        question += "\n" + listed(columns)
    return BenchmarkItem(
        id=text_of(row, "index"),
        question=question,
        gold=gold_letter(text_of(row, "answer"), options or ("",) * 4),
        kind="choice",
        options=options,
        groups=group({"category": row.get("category"), "l2_category": row.get("l2_category")}),
        image=image_of(row, "image"),
    )


MMSTAR = Benchmark(
    name="mmstar",
    title="MMStar",
    paper="2403.20330",
    parts=(Part("", 1500),),
    sources=(HubSource("Lin-Chen/MMStar", "val"),),
    read=read,
    measures=tuple(where("category", category) for category in CATEGORIES),
    direct=LETTER_ONLY,
)
