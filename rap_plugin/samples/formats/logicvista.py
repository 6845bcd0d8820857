"""LogicVista (arXiv 2407.04973): `imagename`, `question`, `answer`, pictures in images/ beside the file."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.samples.formats.base import ColumnChoice, Format, Row, RowProblem
from rap_plugin.samples.formats.options import asked
from rap_plugin.samples.formats.values import gold_of, images_of, question_of
from rap_plugin.samples.images import FirstOf
from rap_plugin.samples.sample import RawSample


def detect(columns: Sequence[str], first_rows: Sequence[Row]) -> bool:
    """LogicVista's own name for the picture."""
    return {"imagename", "question", "answer"} <= set(columns)


def read(row: Row, columns: ColumnChoice) -> RawSample:
    """One problem; its answer is an option letter, or several separated by commas."""
    if columns.images is not None:
        images = images_of(row, columns.images)
    else:
        name = row.get("imagename")
        if not isinstance(name, str) or not name:
            raise RowProblem("no file name in column 'imagename'")
        images = (FirstOf((f"images/{name}", name)),)
    answer = columns.answer or "answer"
    question = question_of(row, columns.question or "question")
    return RawSample(
        question=asked(question, row.get(answer), row, len(images)),
        gold=gold_of(row, answer),
        images=images,
        source="LogicVista",
    )


LOGICVISTA = Format("logicvista", "LogicVista: imagename, question, answer; pictures in images/", detect, read)
