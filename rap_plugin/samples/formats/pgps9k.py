"""PGPS9K: a diagram's file name, the question in `text`, a decimal answer."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.samples.clauses import ReadClauses, read_clauses
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


def clauses(row: Row, *, parity: bool = False) -> ReadClauses:
    """The row's clauses read as words, dropped ones counted. Raises RowProblem where a column holds no list."""
    lists = []
    for column in ("parsing_stru_seqs", "parsing_sem_seqs"):
        value = row.get(column)
        if value is not None and not isinstance(value, (list, tuple)):
            raise RowProblem(f"the clauses are a {type(value).__name__}, not a list (column {column!r})")
        lists.append(value or ())
    return read_clauses(*lists, parity=parity)


def facts(row: Row) -> Sequence[str]:
    """The clauses in words (arXiv 2510.22836), corrected."""
    return clauses(row).facts


PGPS9K = Format(
    "pgps9k", "PGPS9K: diagram, text, answer; pictures in Diagram_Visual/ or Diagram/", detect, read, facts=facts
)
