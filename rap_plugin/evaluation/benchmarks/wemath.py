"""WeMath testmini (arXiv 2407.01284): composite problems with the sub-problems that they are made of."""

from __future__ import annotations

from rap_plugin.evaluation.benchmarks.base import (
    Benchmark,
    HubSource,
    Part,
    Row,
    RowProblem,
    gold_letter,
    group,
    image_of,
    split_options,
    text_of,
)
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.measures import wemath_measure


def read(row: Row, part: str) -> BenchmarkItem:
    """A choice; options stand in one text, "A. 60; B. 120; .. E. No correct answer", some with full-width marks."""
    listing = text_of(row, "option")
    options = split_options(listing)
    if not options:
        raise RowProblem("no options in column 'option'")
    problem, key = text_of(row, "ID"), text_of(row, "key")
    return BenchmarkItem(
        id=f"{problem}/{key}",
        question=f"{text_of(row, 'question')}\n{listing}",
        gold=gold_letter(text_of(row, "answer"), options),
        kind="choice",
        options=options,
        groups=group({"problem": problem, "key": key, "concept": row.get("knowledge concept")}),
        image=image_of(row, "image_path", "image"),
    )


WEMATH = Benchmark(
    name="wemath",
    title="WeMath (testmini)",
    paper="2407.01284",
    dataset="WeMath",
    parts=(Part("", 1740),),
    sources=(HubSource("We-Math/We-Math", "testmini"),),
    read=read,
    measures=(
        wemath_measure("score_strict"),
        wemath_measure("score_loose"),
        wemath_measure("insufficient_knowledge", higher_is_better=False),
        wemath_measure("inadequate_generalization", higher_is_better=False),
        wemath_measure("complete_mastery_strict"),
        wemath_measure("complete_mastery_loose"),
        wemath_measure("rote_memorization_strict", higher_is_better=False),
        wemath_measure("rote_memorization_loose", higher_is_better=False),
    ),
    headline="score_strict",
    files="testmini",
)
