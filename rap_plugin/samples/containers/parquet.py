"""Parquet: row groups read when asked for, and large ones streamed."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rap_plugin.errors import RapError, one_line
from rap_plugin.samples.containers.arrow_rows import join, null_rows, rows_of, runs
from rap_plugin.samples.pool import BadRow, Pool, Row

WHOLE_GROUP_BYTES = 32 << 20
"""Row groups up to this size are read and kept whole; larger ones are streamed in batches of about this size."""

KEPT_GROUPS = 2
OPEN_FILES = 16
MAX_BATCH_ROWS = 256
"""One image under many questions is stored once and read many times: what a row group takes on disk says little."""


@dataclass(frozen=True)
class _Group:
    file: int
    index: int
    rows: int
    size: int


@dataclass
class _Cursor:
    """Where the streaming of a large row group stands: the batch at hand and what comes behind it."""

    group: int
    batches: Iterator[pa.RecordBatch]
    start: int
    table: pa.Table


class ParquetPool(Pool):
    """Files one behind the other. Memory: two small row groups, or one batch of a large one.

    A row group that cannot be decoded gives `BadRow`s; the others are unharmed.
    """

    def __init__(self, files: Sequence[Path], path: str, root: Path, kind: str = "parquet") -> None:
        super().__init__(path, root, files)
        self.kind = kind
        self._groups: list[_Group] = []
        schemas = []
        for number, file in enumerate(files):
            try:
                with pq.ParquetFile(file) as opened:
                    metadata = opened.metadata
                    schemas.append(opened.schema_arrow)
                    # Decoded when asked for; a damaged name is found here (UnicodeDecodeError is a ValueError).
                    _ = schemas[-1].names
            except UnicodeEncodeError:
                raise  # the name, not the file: told at the end of the command
            except (pa.ArrowException, OSError, ValueError) as error:
                raise RapError(
                    f"{file}: not a whole Parquet file ({one_line(error)}); download or write it again"
                ) from None
            for index in range(metadata.num_row_groups):
                group = metadata.row_group(index)
                self._groups.append(_Group(number, index, group.num_rows, group.total_byte_size))
        self._schema = _common_schema(schemas, files)
        self.columns = list(self._schema.names)
        self._starts = [0, *accumulate(group.rows for group in self._groups)]
        self._open: OrderedDict[int, pq.ParquetFile] = OrderedDict()
        self._kept: OrderedDict[int, pa.Table] = OrderedDict()
        self._cursor: _Cursor | None = None
        # Row group -> (its first row that cannot be read, why): decoding it again for every window would take long.
        self._broken: dict[int, tuple[int, str]] = {}
        # The column that was read last: ((row group, name), its values).
        self._column: tuple[tuple[int, str], list[Any]] = ((-1, ""), [])
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._starts[-1]

    def rows(self, numbers: Sequence[int]) -> list[Row]:
        self.check(numbers)
        found: dict[int, Row] = {}
        with self._lock:
            for start, part, problem in self._parts(numbers):
                rows = rows_of(part) if problem is None else [BadRow(problem) for _ in range(part.num_rows)]
                found.update(zip(range(start, start + part.num_rows), rows, strict=True))
        return [found[number] for number in numbers]

    def table(self, numbers: Sequence[int]) -> pa.Table:
        self.check(numbers)
        with self._lock:
            parts = [(start, part) for start, part, _ in self._parts(numbers)]
        if list(numbers) == sorted(set(numbers)):
            return join([part for _, part in parts], self._schema)
        starts = [start for start, _ in parts]
        ordered = []
        for first, count in runs(numbers):
            while count:
                start, part = parts[bisect_right(starts, first) - 1]
                length = min(count, start + part.num_rows - first)
                ordered.append(part.slice(first - start, length))
                first, count = first + length, count - length
        return join(ordered, self._schema)

    def column(self, name: str, numbers: Sequence[int]) -> list[Any]:
        """Reads nothing but this column, so that the images beside it cost nothing."""
        self.check(numbers)
        found: dict[int, Any] = {}
        with self._lock:
            for start, count in runs(sorted(set(numbers))):
                while count:
                    index = bisect_right(self._starts, start) - 1
                    first = start - self._starts[index]
                    length = min(count, self._groups[index].rows - first)
                    values = self._values(index, name)[first : first + length]
                    found.update(zip(range(start, start + length), values, strict=True))
                    start, count = start + length, count - length
        return [found[number] for number in numbers]

    def _values(self, index: int, name: str) -> list[Any]:
        if self._column[0] != (index, name):
            group = self._groups[index]
            try:
                column = self._file(group.file).read_row_group(group.index, columns=[name]).column(name)
                self._column = ((index, name), column.to_pylist())
            except (pa.ArrowException, OSError, ValueError):
                self._column = ((index, name), [None] * group.rows)
        return self._column[1]

    def _parts(self, numbers: Sequence[int]) -> Iterator[tuple[int, pa.Table, str | None]]:
        """(first row, rows, problem) in ascending order, covering exactly the rows asked for."""
        for start, count in runs(sorted(set(numbers))):
            while count:
                index = bisect_right(self._starts, start) - 1
                first = start - self._starts[index]
                length = min(count, self._groups[index].rows - first)
                for part, problem in self._read(index, first, length):
                    yield start, part, problem
                    start, count = start + part.num_rows, count - part.num_rows

    def _read(self, index: int, first: int, length: int) -> Iterator[tuple[pa.Table, str | None]]:
        broken_from, reason = self._broken.get(index, (self._groups[index].rows, ""))
        if first >= broken_from:
            yield null_rows(self._schema, length), reason
            return
        try:
            while length:
                start, table = self._piece(index, first)
                part = table.slice(first - start, length)
                yield part, None
                first, length = first + part.num_rows, length - part.num_rows
        except (pa.ArrowException, OSError, StopIteration, ValueError) as error:
            self._cursor = None
            group = self._groups[index]
            name = self.files[group.file].name
            reason = f"row group {group.index} of {name} cannot be read ({one_line(error)})"
            self._broken[index] = (first, reason)
            yield null_rows(self._schema, length), reason

    def _piece(self, index: int, position: int) -> tuple[int, pa.Table]:
        """(start in the row group, table) of a piece that holds the position."""
        group = self._groups[index]
        if group.size <= WHOLE_GROUP_BYTES and group.rows <= MAX_BATCH_ROWS * 4:
            if index not in self._kept:
                self._kept[index] = self._file(group.file).read_row_group(group.index)
                while len(self._kept) > KEPT_GROUPS:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(index)
            return 0, self._kept[index]
        cursor = self._cursor
        if cursor is None or cursor.group != index or position < cursor.start:
            rows = max(1, min(MAX_BATCH_ROWS, WHOLE_GROUP_BYTES * group.rows // max(group.size, 1)))
            batches = self._file(group.file).iter_batches(batch_size=rows, row_groups=[group.index])
            cursor = self._cursor = _Cursor(index, batches, 0, pa.Table.from_batches([next(batches)]))
        while position >= cursor.start + cursor.table.num_rows:
            cursor.start += cursor.table.num_rows
            cursor.table = pa.Table.from_batches([next(cursor.batches)])
        return cursor.start, cursor.table

    def _file(self, number: int) -> pq.ParquetFile:
        if number not in self._open:
            self._open[number] = pq.ParquetFile(
                self.files[number], memory_map=True, pre_buffer=False, page_checksum_verification=True
            )
            while len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)
        self._open.move_to_end(number)
        return self._open[number]


def _common_schema(schemas: Sequence[pa.Schema], files: Sequence[Path]) -> pa.Schema:
    """The schema of all files; a column without values in one file (type null) takes the others' type."""
    first = schemas[0]
    if len(set(first.names)) < len(first.names):
        raise RapError(f"{files[0]}: two columns have the same name; rename one")
    for schema, file in zip(schemas, files, strict=True):
        if schema.names != first.names:
            odd = sorted(set(schema.names) ^ set(first.names))
            what = f"its columns differ from those of {files[0].name} ({', '.join(odd) or 'order'})"
            raise RapError(f"{file}: {what}; give files of one schema")
    try:
        common: pa.Schema = pa.unify_schemas(schemas)
    except pa.ArrowException as error:
        raise RapError(
            f"{files[0].parent}: the files' columns have different types ({one_line(error)}); give files of one schema"
        ) from None
    return common.with_metadata(first.metadata)
