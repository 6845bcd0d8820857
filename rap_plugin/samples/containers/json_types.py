"""Arrow types for JSON values, so that JSON pools can be written as Parquet without losing anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

JSON_MARK = {b"rap_json": b"1"}
"""Field metadata of a column whose values are JSON texts, because no one Arrow type holds them all."""

MAX_DEPTH = 16
"""Lists and objects inside each other: far deeper columns can be written as Parquet, and then nobody can read the file."""

MAX_FIELDS = 256
"""An object with more keys than this is a map with data as keys, not a record."""

_LEAVES = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}


class Schema:
    """The type of every column, grown row by row; a column that no type fits becomes JSON text.

    Whole numbers and fractions count as mixed: 3 written as 3.0 would be another answer text.
    """

    def __init__(self) -> None:
        self._types: dict[str, pa.DataType | None] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Takes one row's values into account."""
        for name, value in row.items():
            if name not in self._types:
                self._types[name] = _type_of(value)
                continue
            known = self._types[name]
            if known is None or value is None or (_is_plain(value) and _LEAVES.get(type(value)) == known):
                continue
            self._types[name] = _merge(known, _type_of(value))

    def arrow(self) -> pa.Schema:
        """The schema as it stands."""
        return pa.schema([_field(name, kind) for name, kind in self._types.items()])


def table_of(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """The rows as a table; absent keys are nulls, columns marked as JSON are written as JSON text."""
    rows = list(rows)
    columns = []
    for field in schema:
        values: Sequence[Any] = [row.get(field.name) for row in rows]
        if field.metadata == JSON_MARK:
            values = [None if value is None else _json_text(value) for value in values]
        columns.append(pa.array(values, type=field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _json_text(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=not _encodable(value))
    except RecursionError:
        return json.dumps(value)  # in C, which goes as deep as what has read it


def _field(name: str, kind: pa.DataType | None) -> pa.Field:
    if kind is None or not _writable(kind):
        return pa.field(name, pa.string(), metadata=JSON_MARK)
    return pa.field(name, kind)


def _writable(kind: pa.DataType) -> bool:
    """Whether Parquet can hold the type: it has no objects without fields."""
    if pa.types.is_struct(kind):
        return kind.num_fields > 0 and all(_writable(kind.field(i).type) for i in range(kind.num_fields))
    return not pa.types.is_list(kind) or _writable(kind.value_type)


def _is_plain(value: Any) -> bool:
    """Whether a leaf value surely fits its leaf type (text in UTF-8, whole numbers in 64 bits)."""
    if isinstance(value, str):
        return value.isascii()
    return isinstance(value, (bool, float)) or (isinstance(value, int) and -(2**63) <= value < 2**63)


def _type_of(value: Any, depth: int = 0) -> pa.DataType | None:
    """The Arrow type of a JSON value; None where there is none (lone surrogates, huge or mixed numbers, deep nesting)."""
    if value is None:
        return pa.null()
    if isinstance(value, (bool, int, float, str)):
        return _LEAVES[type(value)] if _is_plain(value) or (isinstance(value, str) and _encodable(value)) else None
    if depth >= MAX_DEPTH:
        return None
    if isinstance(value, list):
        inner: pa.DataType | None = pa.null()
        for element in value:
            inner = _merge(inner, _type_of(element, depth + 1))
            if inner is None:
                return None
        return pa.list_(inner)
    if len(value) > MAX_FIELDS:
        return None
    fields = [(name, _type_of(element, depth + 1)) for name, element in value.items()]
    if any(kind is None or not _encodable(name) for name, kind in fields):
        return None
    return pa.struct(fields)


def _merge(one: pa.DataType | None, other: pa.DataType | None) -> pa.DataType | None:
    if one is None or other is None:
        return None
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if pa.types.is_list(one) and pa.types.is_list(other):
        inner = _merge(one.value_type, other.value_type)
        return None if inner is None else pa.list_(inner)
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        fields: dict[str, pa.DataType | None] = {one.field(i).name: one.field(i).type for i in range(one.num_fields)}
        for i in range(other.num_fields):
            field = other.field(i)
            fields[field.name] = _merge(fields[field.name], field.type) if field.name in fields else field.type
        if len(fields) > MAX_FIELDS or any(kind is None for kind in fields.values()):
            return None
        return pa.struct(list(fields.items()))
    return None


def _encodable(value: Any) -> bool:
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value) if not value.isascii() else True
    if isinstance(value, list):
        return all(map(_encodable, value))
    if isinstance(value, dict):
        return all(map(_encodable, value)) and all(map(_encodable, value.values()))
    return True
