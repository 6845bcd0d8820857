"""VLM-R3's RL rows (arXiv 2505.16192): `image_path`, `question`, `answer` with golds separated by "/", `source`."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.samples.formats.base import ColumnChoice, Format, Row
from rap_plugin.samples.formats.options import asked
from rap_plugin.samples.formats.values import gold_of, images_of, question_of, source_of
from rap_plugin.samples.sample import RawSample


def detect(columns: Sequence[str], first_rows: Sequence[Row]) -> bool:
    """The four columns."""
    return {"image_path", "question", "answer", "source"} <= set(columns)


def read(row: Row, columns: ColumnChoice) -> RawSample:
    """One row; the gold answer stays as written: only its grader can tell "3/4" from two alternatives."""
    answer = columns.answer or "answer"
    images = images_of(row, columns.images or "image_path")
    question = question_of(row, columns.question or "question")
    return RawSample(
        question=asked(question, row.get(answer), row, len(images)),
        gold=gold_of(row, answer),
        images=images,
        source=source_of(row),
    )


VLM_R3 = Format("vlm-r3", "VLM-R3 RL: image_path, question, answer, source", detect, read)
