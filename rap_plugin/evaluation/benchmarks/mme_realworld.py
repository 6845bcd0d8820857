"""MME-RealWorld and its Lite selection (arXiv 2408.13257): five options, the last one "not in the image"."""

from __future__ import annotations

from rap_plugin.evaluation.benchmarks.base import (
    Benchmark,
    HubSource,
    Part,
    Row,
    RowProblem,
    gold_letter,
    group,
    held,
    image_of,
    listed,
    maybe_text,
    text_of,
    texts_of,
    without_own_letters,
)
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.measures import where

DIRECT = "Select the best answer. Respond with only the letter (A, B, C, D, or E) of the correct option."


def read(row: Row, part: str) -> BenchmarkItem:
    """Options come as "(A) text"; the category is "Perception/.." or "Reasoning/..", in the Chinese part too. The
    owners' JSON gives `Task` and `Subtask` instead, and the image's file name."""
    listing = texts_of(row, "multi-choice options") or texts_of(row, "Answer choices")
    options = without_own_letters(listing)
    if len(options) < 2:
        raise RowProblem("no options in column 'multi-choice options' or 'Answer choices'")
    category = maybe_text(row, "category") or f"{maybe_text(row, 'Task')}/{maybe_text(row, 'Subtask')}"
    level = next((level for level in ("perception", "reasoning") if level in category.lower()), None)
    return BenchmarkItem(
        id=text_of(row, "index", "Question_id"),
        question=f"{text_of(row, 'question', 'Text')}\n{listed(options)}",
        gold=gold_letter(text_of(row, "answer", "Ground truth"), options),
        kind="choice",
        options=options,
        groups=group({"level": level, "domain": category.split("/")[-1], "task": held(row, "l2-category", "Category")}),
        image=image_of(row, "bytes", "image", "Image"),
    )


def _benchmark(name: str, title: str, rows: int, hub: str) -> Benchmark:
    return Benchmark(
        name=name,
        title=title,
        paper="2408.13257",
        dataset=title.replace("-", "_"),
        parts=(Part("", rows),),
        sources=(HubSource(hub, "train"),),
        read=read,
        measures=(where("level", "perception"), where("level", "reasoning")),
        direct=DIRECT,
    )


MME_REALWORLD = _benchmark("mme_realworld", "MME-RealWorld", 23609, "yifanzhang114/MME-RealWorld-Lmms-eval")
MME_REALWORLD_LITE = _benchmark(
    "mme_realworld_lite", "MME-RealWorld-Lite", 1919, "yifanzhang114/MME-RealWorld-lite-lmms-eval"
)
