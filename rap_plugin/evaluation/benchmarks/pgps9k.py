"""PGPS9K test (arXiv 2302.11097) as the modality-gap work evaluates it (arXiv 2510.22836): the facts of the diagram in
words beside it (`text`), or in the diagram alone (`image`). Users bring the data themselves."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.evaluation.benchmarks.base import (
    Benchmark,
    Part,
    Row,
    RowProblem,
    group,
    list_in,
    maybe_text,
    text_of,
)
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.samples.conditions import image_prompt, text_prompt
from rap_plugin.samples.formats.pgps9k import facts as facts_of
from rap_plugin.samples.images import FirstOf

CLAUSES = ("parsing_stru_seqs", "parsing_sem_seqs")


def parts_of(row: Row, where: str) -> Sequence[str]:
    """Every problem is in both modes."""
    return ("text", "image")


def read(row: Row, part: str) -> BenchmarkItem:
    """Right within 1 %: golds are decimals rounded to three places, answers may be closed forms."""
    name = maybe_text(row, "diagram")
    if not name:
        raise RowProblem("no file name in column 'diagram'")
    question = text_of(row, "text")
    listed = {name: list_in(row[name]) for name in CLAUSES if isinstance(row.get(name), str)}
    facts = facts_of({**row, **listed})
    return BenchmarkItem(
        id=text_of(row, "id"),
        question=text_prompt(facts, question) if part == "text" else image_prompt(question),
        gold=text_of(row, "answer"),
        kind="maths",
        rtol=0.01,
        groups=group({"type": maybe_text(row, "type")}),
        image=FirstOf((f"Diagram_Visual/{name}", f"Diagram/{name}", name)),
    )


PGPS9K = Benchmark(
    name="pgps9k",
    title="PGPS9K (test)",
    paper="2302.11097",
    dataset="PGPS9K",
    parts=(Part("text", 1000), Part("image", 1000)),
    sources=(),
    read=read,
    parts_of=parts_of,
    files=r"(^|/)test\.json$",
    repeats=4,
    temperature=0.6,
    groups={"pgps9k": ("text", "image")},
)
