"""MMVP (arXiv 2401.06209): pairs of images that CLIP confuses; both must be right."""

from __future__ import annotations

from rap_plugin.evaluation.benchmarks.base import (
    LETTER_ONLY,
    Benchmark,
    HubSource,
    Part,
    Row,
    RowProblem,
    gold_letter,
    held,
    image_of,
    listed,
    text_of,
)
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.measures import all_right
from rap_plugin.grading.extract import parse_options
from rap_plugin.samples.images import FirstOf


def read(row: Row, part: str) -> BenchmarkItem:
    """Rows are numbered from 1 and two neighbours are a pair; the official CSV spells the number "lndex" and keeps
    the images as files of that number in "MMVP Images"."""
    number = text_of(row, "Index", "lndex", "index").removesuffix(".0")
    try:
        pair = (int(number) - 1) // 2
    except ValueError:
        raise RowProblem(f"row number {number[:20]!r} is no integer") from None
    options = tuple(parse_options(text_of(row, "Options", "options")).values())
    if not options:
        raise RowProblem("no options in column 'Options'")
    files = FirstOf((f"MMVP Images/{number}.jpg", f"images/{number}.jpg", f"{number}.jpg"))
    return BenchmarkItem(
        id=number,
        question=f"{text_of(row, 'Question', 'question')}\n{listed(options)}",
        gold=gold_letter(text_of(row, "Correct Answer", "answer"), options),
        kind="choice",
        options=options,
        groups={"pair": str(pair)},
        image=files if held(row, "image") is None else image_of(row, "image"),
    )


MMVP = Benchmark(
    name="mmvp",
    title="MMVP",
    paper="2401.06209",
    parts=(Part("", 300),),
    sources=(HubSource("lmms-lab-eval/MMVP", "train"),),
    read=read,
    measures=(all_right("pair", 2, "pair_accuracy"),),
    headline="pair_accuracy",
    direct=LETTER_ONLY,
)
