"""LogicVista (arXiv 2407.04973): logical reasoning; options are letters in the image, listed in the text, or both."""

from __future__ import annotations

from pathlib import PurePosixPath

from rap_plugin.evaluation.benchmarks.base import (
    Benchmark,
    HubSource,
    Part,
    Row,
    RowProblem,
    group,
    held,
    image_of,
    letter_of,
    maybe_text,
    text_of,
    texts_of,
)
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.measures import where
from rap_plugin.grading.extract import parse_options
from rap_plugin.samples.images import FirstOf

SKILLS = ("inductive", "deductive", "numerical", "spatial", "mechanical")


def read(row: Row, part: str) -> BenchmarkItem:
    """Golds are letters, some several ("B, D"); the few that are a number are read as mathematics."""
    question = text_of(row, "question")
    several = row.get("answer")
    gold = ", ".join(texts_of(row, "answer")) if isinstance(several, (list, tuple)) else text_of(row, "answer")
    name = maybe_text(row, "imagename")
    image = FirstOf((f"images/{name}", name)) if name and held(row, "image") is None else image_of(row, "image")
    options = tuple(parse_options(question).values())
    try:
        letters = letter_of(gold)
    except RowProblem:
        if not gold:
            raise
        letters = ""
    if any(ord(letter) - ord("A") >= len(options) for letter in letters):
        options = ()  # The image has more options than the text lists.
    return BenchmarkItem(
        id=PurePosixPath(name).stem or text_of(row, "id", "index"),
        question=question,
        gold=letters or gold,
        kind="choice" if letters else "maths",
        options=options if letters else (),
        groups=group({"skill": row.get("skill"), "capability": row.get("broad_capability")}),
        image=image,
    )


LOGICVISTA = Benchmark(
    name="logicvista",
    title="LogicVista",
    paper="2407.04973",
    parts=(Part("", 448),),
    sources=(HubSource("lscpku/LogicVista", "test"),),
    read=read,
    measures=tuple(where("skill", skill) for skill in SKILLS),
)
