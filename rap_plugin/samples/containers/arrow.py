"""Arrow IPC files, memory-mapped: rows are read from the disk when they are looked at."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import pyarrow as pa

from rap_plugin.errors import EmptyPool, RapError, one_line
from rap_plugin.samples.containers.arrow_rows import join, null_rows, rows_of, runs
from rap_plugin.samples.pool import BadRow, Pool, Row


class ArrowPool(Pool):
    """Tables one behind the other; `kind` says where they come from ("arrow", "datasets" or "hub")."""

    def __init__(self, tables: Sequence[pa.Table], files: Sequence[Path], path: str, root: Path, kind: str) -> None:
        super().__init__(path, root, files)
        self.kind = kind
        if not tables:
            raise EmptyPool(f"{path}: no rows; give a pool with at least one problem")
        self._schema = tables[0].schema
        for table, file in zip(tables, files, strict=False):
            if not table.schema.equals(self._schema):
                raise RapError(f"{file}: its columns differ from those of {files[0].name}; give files of one schema")
        self.columns = list(self._schema.names)
        if len(set(self.columns)) < len(self.columns):
            raise RapError(f"{path}: two columns have the same name; rename one")
        self._batches = [batch for table in tables for batch in table.to_batches()]
        self._starts = [0, *accumulate(batch.num_rows for batch in self._batches)]

    def __len__(self) -> int:
        count: int = self._starts[-1]
        return count

    def rows(self, numbers: Sequence[int]) -> list[Row]:
        self.check(numbers)
        found: list[Row] = []
        for part, problem in self._parts(numbers):
            found += rows_of(part) if problem is None else [BadRow(problem) for _ in range(part.num_rows)]
        return found

    def table(self, numbers: Sequence[int]) -> pa.Table:
        self.check(numbers)
        return join([part for part, _ in self._parts(numbers)], self._schema)

    def _parts(self, numbers: Sequence[int]) -> list[tuple[pa.Table, str | None]]:
        parts: list[tuple[pa.Table, str | None]] = []
        for start, count in runs(numbers):
            while count:
                index = bisect_right(self._starts, start) - 1
                length = min(count, self._starts[index + 1] - start)
                batch = self._batches[index].slice(start - self._starts[index], length)
                parts += self._checked(batch)
                start, count = start + length, count - length
        return parts

    def _checked(self, batch: pa.RecordBatch) -> list[tuple[pa.Table, str | None]]:
        """A mapped batch whose offsets may be trusted, in one piece or, where it is damaged, row by row.

        A file is mapped as it lies on the disk: without this a wrong offset in it would crash the process.
        """
        problem = _damage(batch)
        if problem is None:
            return [(pa.Table.from_batches([batch]), None)]
        if batch.num_rows > 1:
            return [part for row in range(batch.num_rows) for part in self._checked(batch.slice(row, 1))]
        return [(null_rows(self._schema, 1), f"the Arrow data is damaged here ({problem})")]


def _damage(batch: pa.RecordBatch) -> str | None:
    """What is wrong with a batch; text that is not UTF-8 is not, as long as it is sound as bytes."""
    for column in batch.columns:
        try:
            column.validate(full=True)
        except pa.ArrowException as error:
            wider = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}.get(column.type)
            try:
                if wider is None:
                    raise error
                column.view(wider).validate(full=True)
            except pa.ArrowException:
                return one_line(error, 100)
    return None


def open_arrow(path: Path) -> pa.Table:
    """Maps an Arrow file in file or stream format (`datasets` writes streams)."""
    try:
        source = pa.memory_map(str(path))
        try:
            table = pa.ipc.open_file(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            table = pa.ipc.open_stream(source).read_all()
        # Names are decoded when they are asked for; a damaged one is found here, not in the middle of a run.
        _ = table.schema.names
        return table
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise RapError(f"{path}: not a whole Arrow file ({one_line(error, 100)}); write it again") from None
