"""hiyouga/geometry3k: `problem` with `<image>`, `answer`, `images`."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.samples.formats.base import ColumnChoice, Format, Row
from rap_plugin.samples.formats.options import asked
from rap_plugin.samples.formats.values import gold_of, images_of, question_of, source_of
from rap_plugin.samples.sample import RawSample


def detect(columns: Sequence[str], first_rows: Sequence[Row]) -> bool:
    """Exactly geometry3k's columns."""
    return set(columns) == {"problem", "answer", "images"}


def read(row: Row, columns: ColumnChoice) -> RawSample:
    """A row of `problem`, `answer`, `images` (a list of {bytes, path})."""
    answer = columns.answer or "answer"
    images = images_of(row, columns.images or "images")
    question = question_of(row, columns.question or "problem")
    return RawSample(
        question=asked(question, row.get(answer), row, len(images)),
        gold=gold_of(row, answer),
        images=images,
        source=source_of(row),
    )


GEOMETRY3K = Format("geometry3k", "hiyouga/geometry3k: problem, answer, images", detect, read)
