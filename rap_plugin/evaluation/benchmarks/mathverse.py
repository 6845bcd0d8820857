"""MathVerse testmini (arXiv 2403.14624): each problem in six versions, from all text to all in the image."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rap_plugin.evaluation.benchmarks.base import (
    Benchmark,
    HubSource,
    Part,
    Row,
    RowProblem,
    gold_letter,
    group,
    image_of,
    mapping_of,
    maybe_text,
    text_of,
)
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.measures import where
from rap_plugin.grading.extract import parse_options

VERSIONS = {
    "Text Dominant": "text_dominant",
    "Text Lite": "text_lite",
    "Text Only": "text_only",
    "Vision Intensive": "vision_intensive",
    "Vision Dominant": "vision_dominant",
    "Vision Only": "vision_only",
}
TEXT = ("text_dominant", "text_lite")
VISION = ("vision_intensive", "vision_dominant", "vision_only")
IN_IMAGE = "The problem is written in the image. Solve it."


def parts_of(row: Row, where: str) -> Sequence[str]:
    """The part of the row's version ("Text_Only" and "Text Only" both occur)."""
    version = VERSIONS.get(maybe_text(row, "problem_version").replace("_", " "))
    return (version,) if version else ()


def read(row: Row, part: str) -> BenchmarkItem:
    """The question is the version's own `question` (empty in Vision Only). `question_for_eval` holds the full text of
    the problem: it is used to recognise options in a response and is never shown to the model."""
    question = maybe_text(row, "question")
    if part == "vision_only":
        question = IN_IMAGE
    elif not question:
        raise RowProblem("the question is empty (column 'question')")
    metadata = mapping_of(row, "metadata")
    gold = text_of(row, "answer")
    choice = re.fullmatch("multi.choice", maybe_text(row, "question_type")) is not None
    options = tuple(parse_options(maybe_text(row, "question_for_eval") or question).values()) if choice else ()
    return BenchmarkItem(
        id=text_of(row, "sample_index"),
        question=question,
        gold=gold_letter(gold, options) if choice else gold,
        kind="choice" if choice else "maths",
        options=options,
        groups=group(
            {
                "problem": row.get("problem_index"),
                "subject": metadata.get("subject"),
                "subfield": metadata.get("subfield"),
                "question_type": row.get("question_type"),
            }
        ),
        image=None if part == "text_only" else image_of(row, "image"),
    )


MATHVERSE = Benchmark(
    name="mathverse",
    title="MathVerse (testmini)",
    paper="2403.14624",
    dataset="MathVerse",
    parts=tuple(Part(name, 788) for name in VERSIONS.values()),
    sources=(
        HubSource("AI4Math/MathVerse", "testmini", "testmini"),
        HubSource("AI4Math/MathVerse", "testmini_text_only", "testmini_text_only"),
    ),
    read=read,
    parts_of=parts_of,
    measures=(
        where("question_type", "multi-choice"),
        where("question_type", "free-form"),
        where("subject", "Plane Geometry"),
        where("subject", "Solid Geometry"),
        where("subject", "Functions"),
    ),
    groups={"mathverse": (*TEXT, *VISION), "mathverse_text": TEXT, "mathverse_vision": VISION},
    pooled=(*TEXT, *VISION),
)
