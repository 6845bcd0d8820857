"""CSV and TSV: records found through byte offsets, parsed when asked for; every value is text."""

from __future__ import annotations

import csv
import io
import threading
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from rap_plugin.errors import RapError
from rap_plugin.samples.pool import MAX_ROW_BYTES, BadRow, Pool, Row

MAX_BROKEN = 100
"""Records with unclosed quotes that are stepped over one by one; each costs a look at what follows it."""

_BOM = b"\xef\xbb\xbf"
_limit_lock = threading.Lock()


class CsvPool(Pool):
    """Holds 16 bytes a row. The first record names the columns; the delimiter is the commonest of `,` `;` and tab.

    A record with more or fewer fields than the header, an unclosed quote, or text that is not UTF-8, is a `BadRow`.
    """

    kind = "csv"

    def __init__(self, file: Path, path: str) -> None:
        super().__init__(path, file.parent, [file])
        with file.open("rb") as source:
            first = source.readline(1 << 20)
        self._delimiter = max((",", ";", "\t"), key=lambda mark: first.count(mark.encode()))
        spans = _record_spans(file, self._delimiter)
        if not spans:
            raise RapError(f"{file}: no header line; the first line of a CSV names its columns")
        header = self._fields(*spans[0])
        if isinstance(header, str):
            raise RapError(f"{file}: the header line cannot be read ({header}); save the file as UTF-8 CSV")
        if len(set(header)) < len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise RapError(f"{file}: column {twice!r} is named twice in the header; rename one")
        self.columns = header
        self._starts = array("Q", (start for start, _ in spans[1:]))
        self._ends = array("Q", (end for _, end in spans[1:]))

    def __len__(self) -> int:
        return len(self._starts)

    def rows(self, numbers: Sequence[int]) -> list[Row]:
        self.check(numbers)
        return [self._row(number) for number in numbers]

    def table(self, numbers: Sequence[int]) -> pa.Table:
        rows = self.rows(numbers)
        columns = [pa.array([row.get(name) for row in rows], type=pa.string()) for name in self.columns]
        return pa.table(columns, names=self.columns)

    def _row(self, number: int) -> Row:
        fields = self._fields(self._starts[number], self._ends[number])
        if isinstance(fields, str):
            return BadRow(fields)
        if len(fields) != len(self.columns):
            return BadRow(f"{len(fields)} fields where the header has {len(self.columns)}")
        return dict(zip(self.columns, fields, strict=True))

    def _fields(self, start: int, end: int) -> list[str] | str:
        """The fields of one record, or why it has none."""
        if end - start > MAX_ROW_BYTES:
            return f"the record is longer than {MAX_ROW_BYTES >> 20} MB"
        with self.files[0].open("rb") as file:
            file.seek(start)
            data = file.read(end - start)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            return f"not UTF-8 text (byte {error.start + 1} of the record)"
        try:
            with _large_fields():
                return next(csv.reader(io.StringIO(text, newline="\n"), delimiter=self._delimiter, strict=True))
        except csv.Error as error:
            return f"not a CSV record ({error})"


def _record_spans(path: Path, delimiter: str) -> list[tuple[int, int]]:
    """(start, end) of every record that is not blank, in bytes.

    Structure is ASCII in UTF-8, so lines are read as Latin-1, which cannot fail; whether a record is good
    text is found out when it is read.
    """
    spans: list[tuple[int, int]] = []
    broken = 0
    with path.open("rb") as file, _large_fields():
        position = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
        lines = _Lines(file, position)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        while True:
            start = lines.position
            try:
                fields = next(reader)
            except StopIteration:
                return spans
            except csv.Error as error:
                broken += 1
                if broken > MAX_BROKEN:
                    raise RapError(
                        f"{path}: more than {MAX_BROKEN} broken records ({error}); is this a CSV file?"
                    ) from None
                # The rest may be sound: take the record's first line as one bad row and go on behind it.
                file.seek(start)
                end = start + _skip_line(file)
                spans.append((start, end))
                lines = _Lines(file, end)
                reader = csv.reader(lines, delimiter=delimiter, strict=True)
                continue
            if fields:
                spans.append((start, lines.position))


class _Lines:
    """Lines of a file as text, with the position behind the last one given."""

    def __init__(self, file: BinaryIO, position: int) -> None:
        file.seek(position)
        self._file = file
        self.position = position

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(MAX_ROW_BYTES + 1)
        if not line:
            raise StopIteration
        if len(line) > MAX_ROW_BYTES:
            raise csv.Error("line too long")
        self.position += len(line)
        return line.decode("latin-1")


def _skip_line(file: BinaryIO) -> int:
    length = 0
    while piece := file.readline(1 << 20):
        length += len(piece)
        if piece.endswith(b"\n"):
            break
    return length


@contextmanager
def _large_fields() -> Iterator[None]:
    """The csv module's field limit (128 KB, one for the process) raised for base64 images, and put back."""
    with _limit_lock:
        before = csv.field_size_limit(MAX_ROW_BYTES)
        try:
            yield
        finally:
            csv.field_size_limit(before)
