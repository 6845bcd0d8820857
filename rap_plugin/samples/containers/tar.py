"""WebDataset shards: `.tar` files in which the members of one sample share a name up to its first dot."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from rap_plugin.errors import RapError, one_line
from rap_plugin.samples.containers.json_types import Schema, table_of
from rap_plugin.samples.pool import MAX_ROW_BYTES, BadRow, Pool, Row

IMAGES = ("png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "avif", "ppm")
TEXTS = {"txt": "text", "text": "text", "cls": "label"}
"""Endings of members that are one text each, and the columns that they become."""

NAMED_ROWS = 64
_IMAGES = pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()}))


@dataclass
class _Members:
    """Where the members of one sample are: (ending, name, file, first byte, bytes)."""

    key: str
    parts: list[tuple[str, str, int, int, int]] = field(default_factory=list)


class TarPool(Pool):
    """Rows with `id` (the shared name), `images` ({bytes, path} each), what a `.json` member holds, and `.txt` and `.cls` texts.

    Members are read where they lie; nothing is unpacked, and no name in an archive is ever a path.
    """

    kind = "tar"

    def __init__(self, files: Sequence[Path], path: str, root: Path) -> None:
        super().__init__(path, root, files)
        self._samples = [sample for at, file in enumerate(self.files) for sample in _index(file, at)]
        names: dict[str, None] = {}
        for row in self.rows(range(min(NAMED_ROWS, len(self)))):
            names.update(dict.fromkeys(row))
        self.columns = list(names)

    def __len__(self) -> int:
        return len(self._samples)

    def rows(self, numbers: Sequence[int]) -> list[Row]:
        self.check(numbers)
        return [self._row(self._samples[number], with_images=True) for number in numbers]

    def table(self, numbers: Sequence[int]) -> pa.Table:
        rows = self.rows(numbers)
        images = pa.array([row.get("images") for row in rows], type=_IMAGES)
        return table_of(rows, self._schema).append_column("images", images)

    @cached_property
    def _schema(self) -> pa.Schema:
        schema = Schema()
        for sample in self._samples:
            schema.add(self._row(sample, with_images=False))
        return schema.arrow()

    def _row(self, sample: _Members, *, with_images: bool) -> Row:
        row: Row = {"id": sample.key}
        images = []
        for ending, name, at, start, size in sample.parts:
            kind = ending.rsplit(".", 1)[-1]
            if kind not in IMAGES and kind != "json" and kind not in TEXTS:
                continue
            if size > MAX_ROW_BYTES:
                return BadRow(f"{name} has {size >> 20} MB; a member may have {MAX_ROW_BYTES >> 20} MB")
            if kind in IMAGES:
                images.append({"bytes": self._read(at, start, size), "path": name} if with_images else {})
                continue
            try:
                text = self._read(at, start, size).decode("utf-8")
                if kind == "json":
                    said: Any = json.loads(text)
                    row |= said if isinstance(said, dict) else {"json": said}
                else:
                    row[TEXTS[kind]] = text.strip()
            except (ValueError, RecursionError) as error:
                return BadRow(f"{name} is not usable ({one_line(error, 100)})")
        if with_images and images:
            row["images"] = images
        elif not with_images:
            row.pop("images", None)
        return row

    def _read(self, at: int, start: int, size: int) -> bytes:
        with self.files[at].open("rb") as file:
            file.seek(start)
            return file.read(size)


def _require_end(path: Path, at: int) -> None:
    """Raises RapError where an archive does not end at this byte: what is cut or damaged behind its first member counts as
    its end for `tarfile`.
    """
    with path.open("rb") as file:
        file.seek(at)
        block = file.read(tarfile.BLOCKSIZE)
    if block and block != tarfile.NUL * tarfile.BLOCKSIZE:
        raise RapError(f"{path}: cut off or damaged at byte {at:,}; is the file whole?")


def _index(path: Path, at: int) -> list[_Members]:
    found: dict[str, _Members] = {}
    try:
        whole = path.stat().st_size
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                folder, _, name = member.name.rpartition("/")
                stem, dot, ending = name.partition(".")
                if member.isreg() and dot and stem:
                    if member.offset_data + member.size > whole:
                        raise RapError(f"{path}: ends in the middle of {member.name}; is the file whole?")
                    key = f"{folder}/{stem}" if folder else stem
                    part = (ending.lower(), member.name, at, member.offset_data, member.size)
                    found.setdefault(key, _Members(key)).parts.append(part)
                archive.members = []  # type: ignore[attr-defined] # what is read is forgotten: millions of members
            _require_end(path, archive.offset)  # type: ignore[attr-defined]
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise RapError(f"{path}: not a plain tar file ({one_line(error)}); unpack a compressed one first") from None
    return list(found.values())
