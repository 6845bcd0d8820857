"""JSON: the one container that has to be read whole, hence bounded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from rap_plugin.config import PoolConfig
from rap_plugin.errors import Option, RapError, one_line
from rap_plugin.samples.containers.json_types import Schema, table_of
from rap_plugin.samples.pool import BadRow, Pool, Row

MAX_BYTES = 4 << 30
"""A JSON file can only be parsed as a whole; beyond this JSONL or Parquet is asked for."""

SHAPES = 'a list of rows, an object of id -> row, or {"data": [rows]}'


class JsonPool(Pool):
    """All rows in memory."""

    kind = "json"

    def __init__(self, file: Path, path: str, rows: Sequence[Row]) -> None:
        super().__init__(path, file.parent, [file])
        self._rows = rows
        names: dict[str, None] = {}
        for row in rows:
            names.update(dict.fromkeys(row))
        self.columns = list(names)

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, numbers: Sequence[int]) -> list[Row]:
        self.check(numbers)
        # Rows are handed out as copies of one level: a reader may add to its row, never to the pool.
        found = [self._rows[number] for number in numbers]
        return [row if isinstance(row, BadRow) else dict(row) for row in found]

    def table(self, numbers: Sequence[int]) -> pa.Table:
        return table_of(self.rows(numbers), self._schema)

    @cached_property
    def _schema(self) -> pa.Schema:
        schema = Schema()
        for row in self._rows:
            schema.add(row)
        return schema.arrow()


def open_json(path: Path, config: PoolConfig) -> Pool:
    """Opens a .json file; one that holds JSON lines after all is read as JSONL."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise RapError(f"{path}: {size / 2**30:.1f} GB of JSON would have to be in memory; save it as JSONL or Parquet")
    try:
        content: Any = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            from rap_plugin.samples.containers.jsonl import JsonlPool

            return JsonlPool(path, config.path)
        where = f"line {error.lineno}, column {error.colno}"
        raise RapError(f"{path}: not JSON ({error.msg}, {where}); is the file whole?") from None
    except RecursionError:
        raise RapError(f"{path}: not usable JSON (nested too deeply); give {SHAPES}") from None
    except ValueError as error:
        raise RapError(f"{path}: not usable JSON ({one_line(error, 100)}); give {SHAPES}") from None
    return JsonPool(path, config.path, _rows_of(path, content, config.split))


def _rows_of(path: Path, content: Any, split: str | None) -> list[Row]:
    if isinstance(content, dict):
        named = content.get(split or "data")
        if isinstance(named, list):
            content = named
        elif split is not None:
            raise RapError(
                f"{path}: no list of rows named {split!r} (",
                Option("pool.split"),
                f"); it has {', '.join(map(repr, list(content)[:8]))}",
            )
        # One damaged record among many is a bad row, not another kind of file.
        elif 2 * sum(isinstance(row, dict) for row in content.values()) > len(content):
            return [{"id": key, **row} if isinstance(row, dict) else _no_object(row) for key, row in content.items()]
    if not isinstance(content, list):
        lists = (
            [name for name, value in content.items() if isinstance(value, list)] if isinstance(content, dict) else []
        )
        if not lists:
            raise RapError(f"{path}: not rows; expected {SHAPES}")
        named = ", ".join(map(repr, lists[:8]))
        raise RapError(
            f"{path}: not rows; expected {SHAPES}; name one of its lists ({named}) with ", Option("pool.split")
        )
    return [row if isinstance(row, dict) else _no_object(row) for row in content]


def _no_object(row: Any) -> BadRow:
    return BadRow(f"no JSON object but a {type(row).__name__}")
