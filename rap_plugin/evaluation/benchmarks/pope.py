"""POPE (arXiv 2305.10355): is an object in the image? Three ways to choose the objects that are not."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.evaluation.benchmarks.base import (
    ONE_PHRASE,
    Benchmark,
    HubSource,
    Part,
    Row,
    RowProblem,
    group,
    image_of,
    maybe_text,
    named_in,
    text_of,
)
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.measures import Measure, f1, precision, recall, yes_ratio

SETTINGS = ("adversarial", "popular", "random")


def parts_of(row: Row, where: str) -> Sequence[str]:
    """The setting that the row names, else the one that its file or split names."""
    named = maybe_text(row, "category").lower()
    return tuple(setting for setting in SETTINGS if setting == named) if named else named_in(where, SETTINGS)


def read(row: Row, part: str) -> BenchmarkItem:
    """Yes or no. The owners' files give `text`, `label` and the image's file name, the hub's `question` and `answer`."""
    gold = text_of(row, "answer", "label").lower().rstrip(".")
    gold = {"true": "yes", "false": "no"}.get(gold, gold)
    if gold not in ("yes", "no"):
        raise RowProblem(f"the gold answer {gold[:40]!r} is neither yes nor no")
    number = text_of(row, "question_id", "id", "index")
    return BenchmarkItem(
        id=f"{part}/{number}",
        question=text_of(row, "question", "text"),
        gold=gold,
        kind="yes_no",
        groups=group({"image_source": row.get("image_source")}),
        image=image_of(row, "image"),
    )


POPE = Benchmark(
    name="pope",
    title="POPE",
    paper="2305.10355",
    parts=tuple(Part(setting, 3000) for setting in SETTINGS),
    sources=(HubSource("lmms-lab/POPE", "test", also=("lmms-lab-encoder/POPE",)),),
    read=read,
    parts_of=parts_of,
    measures=(
        Measure("precision", precision),
        Measure("recall", recall),
        Measure("f1", f1),
        Measure("yes_ratio", yes_ratio),
    ),
    files="coco_pope_",
    direct=ONE_PHRASE,
    groups={"pope": SETTINGS},
    pooled=SETTINGS,
)
