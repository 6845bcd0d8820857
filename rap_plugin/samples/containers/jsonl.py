"""JSONL: one JSON object a line, found through byte offsets and parsed when asked for."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from rap_plugin.errors import one_line
from rap_plugin.samples.containers.json_types import Schema, table_of
from rap_plugin.samples.pool import MAX_ROW_BYTES, BadRow, Pool, Row

NAMED_ROWS = 64
"""Rows that the names of the columns are taken from."""


class JsonlPool(Pool):
    """Holds 8 bytes a row; a line that is not a JSON object, or too long, is a `BadRow`; blank lines are no rows."""

    kind = "jsonl"

    def __init__(self, file: Path, path: str) -> None:
        super().__init__(path, file.parent, [file])
        with self._open() as lines:
            self._starts = _line_starts(lines)
        names: dict[str, None] = {}
        for row in self.rows(range(min(NAMED_ROWS, len(self)))):
            names.update(dict.fromkeys(row))
        self.columns = list(names)

    def __len__(self) -> int:
        return len(self._starts)

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        with self.files[0].open("rb") as file:
            yield file

    def rows(self, numbers: Sequence[int]) -> list[Row]:
        self.check(numbers)
        found = []
        with self._open() as file:
            for number in numbers:
                file.seek(self._starts[number])
                found.append(parse_row(file.readline(MAX_ROW_BYTES + 1)))
        return found

    def table(self, numbers: Sequence[int]) -> pa.Table:
        return table_of(self.rows(numbers), self._schema)

    @cached_property
    def _schema(self) -> pa.Schema:
        """One pass over all rows: the type of a column may be decided by its last value."""
        schema = Schema()
        with self._open() as file:
            for start in self._starts:
                file.seek(start)
                schema.add(parse_row(file.readline(MAX_ROW_BYTES + 1)))
        return schema.arrow()


def parse_row(line: bytes) -> Row:
    """One line as a row, or a `BadRow` that says why not."""
    if len(line) > MAX_ROW_BYTES:
        return BadRow(f"the line is longer than {MAX_ROW_BYTES >> 20} MB")
    try:
        value: Any = json.loads(line.strip())
    except json.JSONDecodeError as error:
        return BadRow(f"the line is not JSON ({error.msg}, character {error.pos + 1})")
    except RecursionError:
        return BadRow("the line is not usable JSON (nested too deeply)")
    except ValueError as error:
        return BadRow(f"the line is not usable JSON ({one_line(error, 100)})")
    return value if isinstance(value, dict) else BadRow(f"the line is no JSON object but a {type(value).__name__}")


def _line_starts(file: IO[bytes]) -> array[int]:
    starts = array("Q")
    position, fresh, blank = 0, True, False
    # Long lines come in pieces, so that a file without line breaks is never in memory as a whole.
    while piece := file.readline(1 << 20):
        if fresh and (piece.strip() or not piece.endswith(b"\n")):
            starts.append(position)
            blank = not piece.strip()
        position += len(piece)
        fresh = piece.endswith(b"\n")
    # A last line of blanks without a line break is no row either.
    if starts and blank and not fresh:
        starts.pop()
    return starts
