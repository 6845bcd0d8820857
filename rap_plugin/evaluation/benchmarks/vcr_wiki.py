"""VCR-wiki (arXiv 2406.06462): restore partly covered text in an image, English and Chinese, easy and hard."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.evaluation.benchmarks.base import (
    Benchmark,
    HubSource,
    Part,
    Row,
    RowProblem,
    image_of,
    maybe_text,
    named_in,
    texts_of,
)
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.measures import extra

PARTS = ("en_easy", "en_hard", "zh_easy", "zh_hard")
QUESTION = "What is the covered texts in the image?"


def parts_of(row: Row, where: str) -> Sequence[str]:
    """By the name of the repository or file: rows do not say which setting they are of."""
    return named_in(where, PARTS)


def read(row: Row, part: str) -> BenchmarkItem:
    """The golds are the covered texts, one a line."""
    texts = texts_of(row, "crossed_text")
    if not any(texts):
        raise RowProblem("no covered text in column 'crossed_text'")
    return BenchmarkItem(
        id=maybe_text(row, "question_id") or maybe_text(row, "rap_row"),
        question=QUESTION,
        gold="\n".join(text.replace("\n", " ") for text in texts if text),
        kind="covered",
        image=image_of(row, "stacked_image"),
    )


VCR_WIKI = Benchmark(
    name="vcr_wiki",
    title="VCR-wiki",
    paper="2406.06462",
    dataset="VCR",
    parts=tuple(Part(part, 5000) for part in PARTS),
    sources=tuple(HubSource(f"vcr-org/VCR-wiki-{part.replace('_', '-')}-test", "test") for part in PARTS),
    read=read,
    parts_of=parts_of,
    measures=(extra("jaccard"),),
    direct="Please restore the covered texts without outputting the explanations.",
    groups={"vcr_wiki": PARTS},
)
