"""A pool: random access to raw rows in bounded memory, whatever the file is."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rap_plugin.errors import RapError

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]

HEAD_ROWS = 8
"""Rows that formats and columns are recognised from: enough to look past a few empty ones."""

HASHED_BYTES = 8 << 20
"""Files up to this size are identified by their content, larger ones by their time of change."""

MAX_ROW_BYTES = 256 << 20
"""One line of a text pool: enough for dozens of images in base64, and a bound for a file with no line breaks."""


class BadRow(dict[str, Any]):
    """A row that its container cannot give (a broken JSON line, a damaged row group): empty, with the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class UnreadableValue:
    """Stands for one value of a row that cannot be turned into a Python object (text that is not UTF-8, say)."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"<unreadable: {self.reason}>"


class Pool(ABC):
    """Random access to the rows of a pool; never the whole of a big pool in memory, never a copy on disk.

    Attributes: `path` as the user gave it; `kind` is "json", "jsonl", "csv", "parquet", "arrow", "datasets",
    "tar", "images" or "hub"; `columns` their names (of a JSONL pool: those of its first rows); `root` the folder that
    relative image paths start from; `files` what is read.
    """

    kind: str

    def __init__(self, path: str, root: Path, files: Sequence[Path]) -> None:
        self.path = path
        self.root = root
        self.files = list(files)
        self.columns: list[str] = []

    @abstractmethod
    def __len__(self) -> int:
        """How many rows."""

    @abstractmethod
    def rows(self, numbers: Sequence[int]) -> list[Row]:
        """The rows as Python objects in the order asked; image bytes stay bytes, a damaged row is a `BadRow`."""

    @abstractmethod
    def table(self, numbers: Sequence[int]) -> pa.Table:
        """The rows with their original columns and types, image bytes identical.

        The schema is the same for every call. A JSON or JSONL column of mixed types is a JSON string, marked by
        the field metadata `{b"rap_json": b"1"}`. A damaged row is a row of nulls.
        """

    def column(self, name: str, numbers: Sequence[int]) -> list[Any]:
        """One column's values of the rows in the order asked; None where a row is damaged."""
        values: list[Any] = self.table(numbers).column(name).to_pylist()
        return values

    @cached_property
    def head(self) -> list[Row]:
        """The first few rows, read once: formats are recognised from them."""
        return self.rows(range(min(HEAD_ROWS, len(self))))

    def fingerprint(self) -> str:
        """32 hexadecimal digits that change when a file of the pool does; cheap on any size.

        Names and sizes of the files with, for small files, their content and, for others, their time of change.
        Image files that rows merely name are not looked at: they are part of the samples' ids.
        """
        digest = hashlib.blake2b(digest_size=16, person=b"rap-pool-1")
        for file in self.files:
            state = file.stat()
            small = state.st_size <= HASHED_BYTES
            mark = hashlib.blake2b(file.read_bytes()).hexdigest() if small else str(state.st_mtime_ns)
            digest.update(f"{file.name}\0{state.st_size}\0{mark}\0".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def check(self, numbers: Sequence[int]) -> None:
        """Refuses row numbers that the pool does not have (a file that was cut short since an earlier run)."""
        count = len(self)
        for number in numbers:
            if not 0 <= number < count:
                raise RapError(f"{self.path}: row {number} is gone, there are {count} rows; was the file changed?")
