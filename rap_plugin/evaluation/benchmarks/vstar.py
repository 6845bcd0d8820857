"""V* (arXiv 2312.14135): small details in large images; attributes and relative positions."""

from __future__ import annotations

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
    text_of,
    without_instruction,
)
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.measures import where
from rap_plugin.grading.extract import parse_options


def read(row: Row, part: str) -> BenchmarkItem:
    """The options and the official instruction stand in the question; the instruction is taken off."""
    question = without_instruction(text_of(row, "text", "question"))
    options = tuple(parse_options(question).values())
    if not options:
        raise RowProblem("no options in column 'text'")
    return BenchmarkItem(
        id=text_of(row, "question_id", "index", "id"),
        question=question,
        gold=gold_letter(text_of(row, "label", "answer"), options),
        kind="choice",
        options=options,
        groups=group({"category": row.get("category")}),
        image=image_of(row, "image"),
    )


VSTAR = Benchmark(
    name="vstar",
    title="V*",
    paper="2312.14135",
    dataset="VStar",
    parts=(Part("", 191),),
    sources=(HubSource("lmms-lab/vstar-bench", "test", also=("lmms-lab-encoder/vstar-bench",)),),
    read=read,
    measures=(where("category", "direct_attributes"), where("category", "relative_position")),
    direct=LETTER_ONLY,
)
