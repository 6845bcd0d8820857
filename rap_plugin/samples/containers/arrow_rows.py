"""Arrow tables as Python rows, value by value where a column holds something unreadable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from rap_plugin.errors import one_line
from rap_plugin.samples.pool import Row, UnreadableValue

_NARROW = {pa.float32(): np.float32, pa.float16(): np.float16}


def rows_of(table: pa.Table) -> list[Row]:
    """The rows of a table; a value that has no Python form is an `UnreadableValue`, its neighbours are unharmed.

    Columns that this package wrote as JSON text (mixed types) are objects again, so that a written pool reads alike. Numbers
    that `datasets` knows as the names of classes are those names, and 0.1 in 32 bits is 0.1, not 0.10000000149011612.
    """
    columns = []
    classes = _classes((table.schema.metadata or {}).get(b"huggingface", b""))
    for field, column in zip(table.schema, table.columns, strict=True):
        values = _values(column)
        if pa.types.is_float32(field.type) or pa.types.is_float16(field.type):
            values = [value if value is None else float(str(_NARROW[field.type](value))) for value in values]
        if names := classes.get(field.name):
            values = [names[value] if isinstance(value, int) and 0 <= value < len(names) else None for value in values]
        is_json = (field.metadata or {}).get(b"rap_json") == b"1"
        columns.append([_from_json(value) for value in values] if is_json else values)
    return [dict(zip(table.column_names, values, strict=True)) for values in zip(*columns, strict=True)]


def null_rows(schema: pa.Schema, count: int) -> pa.Table:
    """A table of nulls, in place of rows that cannot be read."""
    return pa.Table.from_arrays([pa.nulls(count, field.type) for field in schema], schema=_nullable(schema))


def join(tables: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    """The tables one behind the other, uncopied: columns stay chunked, so 2 GB of images in one are no limit."""
    if not tables:
        return schema.empty_table()
    wanted = _nullable(schema)
    return pa.concat_tables(
        [table if table.schema.equals(wanted, check_metadata=True) else table.cast(wanted) for table in tables]
    )


def runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbouring numbers as (first, count), in the order given: slices instead of single rows."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][0] + found[-1][1]:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((number, 1))
    return found


def _nullable(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field.with_nullable(True) for field in schema], metadata=schema.metadata)


@lru_cache(maxsize=16)
def _classes(metadata: bytes) -> dict[str, tuple[str, ...]]:
    """The columns whose feature is `ClassLabel`, with the names of their classes."""
    try:
        features = json.loads(metadata)["info"]["features"]
        labels = {name: kind["names"] for name, kind in features.items() if _is_label(kind)}
        return {name: tuple(map(str, names)) for name, names in labels.items() if isinstance(names, list)}
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return {}


def _is_label(kind: Any) -> bool:
    return isinstance(kind, dict) and kind.get("_type") == "ClassLabel"


def _values(column: pa.ChunkedArray) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except Exception:
        return [_value(scalar) for scalar in column]
    return values


def _from_json(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError) as error:
        return UnreadableValue(f"not the JSON it is marked as: {type(error).__name__}")


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except Exception as error:
        return UnreadableValue(one_line(error, 100))
