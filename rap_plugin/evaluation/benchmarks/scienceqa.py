"""ScienceQA, the test problems with an image (arXiv 2209.09513)."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.evaluation.benchmarks.base import (
    LETTER_ONLY,
    Benchmark,
    HubSource,
    Part,
    Row,
    RowProblem,
    group,
    held,
    image_of,
    integer_of,
    listed,
    maybe_text,
    text_of,
    texts_of,
)
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.measures import where
from rap_plugin.grading.extract import LETTERS


def parts_of(row: Row, where: str) -> Sequence[str]:
    """ScienceQA-IMG leaves out the problems without an image; a file of all splits names each problem's own."""
    return () if held(row, "image") in (None, "") or maybe_text(row, "split") not in ("", "test") else ("",)


def read(row: Row, part: str) -> BenchmarkItem:
    """The gold is the option's index; the hint goes before the question."""
    options = texts_of(row, "choices")
    index = integer_of(row, "answer")
    if index is None or not 0 <= index < len(options) <= len(LETTERS):
        raise RowProblem(f"the gold answer {str(row.get('answer'))[:20]!r} is no index of its {len(options)} choices")
    hint = maybe_text(row, "hint")
    context = f"Context: {hint}\n" if hint else ""
    return BenchmarkItem(
        id=maybe_text(row, "id") or text_of(row, "rap_row"),
        question=f"{context}{text_of(row, 'question')}\n{listed(options)}",
        gold=LETTERS[index],
        kind="choice",
        options=options,
        groups=group({"subject": row.get("subject"), "topic": row.get("topic"), "grade": row.get("grade")}),
        image=image_of(row, "image"),
    )


SCIENCEQA = Benchmark(
    name="scienceqa_img",
    title="ScienceQA-IMG",
    paper="2209.09513",
    dataset="ScienceQA_IMG",
    parts=(Part("", 2017),),
    sources=(HubSource("lmms-lab/ScienceQA", "test", "ScienceQA-IMG", also=("lmms-lab-encoder/ScienceQA",)),),
    read=read,
    parts_of=parts_of,
    measures=tuple(where("subject", name) for name in ("natural science", "social science", "language science")),
    files=r"(^|[-_/])test[-_.]",
    direct=LETTER_ONLY,
)
