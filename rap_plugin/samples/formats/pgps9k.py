"""PGPS9K: a diagram's file name, the question in `text`, a decimal answer."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.samples.formats.base import ColumnChoice, Format, Row, RowProblem
from rap_plugin.samples.formats.values import gold_of, images_of, question_of
from rap_plugin.samples.images import FirstOf
from rap_plugin.samples.sample import RawSample


def detect(columns: Sequence[str], first_rows: Sequence[Row]) -> bool:
    """PGPS9K's own column names."""
    return {"diagram", "text", "answer", "parsing_stru_seqs"} <= set(columns)


def read(row: Row, columns: ColumnChoice) -> RawSample:
    """A problem with its bare question; the clauses of the diagram are left to the modality-gap conditions."""
    if columns.images is not None:
        images = images_of(row, columns.images)
    else:
        name = row.get("diagram")
        if not isinstance(name, str) or not name:
            raise RowProblem("no file name in column 'diagram'")
        images = (FirstOf((f"Diagram_Visual/{name}", f"Diagram/{name}", name)),)
    return RawSample(
        question=question_of(row, columns.question or "text"),
        gold=gold_of(row, columns.answer or "answer"),
        images=images,
        source="PGPS9K",
    )


PGPS9K = Format("pgps9k", "PGPS9K: diagram, text, answer; pictures in Diagram_Visual/ or Diagram/", detect, read)
