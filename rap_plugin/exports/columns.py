"""Arrow files written a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rap_plugin.exports.rows import CHUNK, SelectedPool

MESSAGES = pa.list_(pa.struct({"role": pa.string(), "content": pa.string()}))
IMAGES = pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()}))


def extra_fields(source: SelectedPool) -> list[pa.Field]:
    """The fields of the `rap_*` columns, as `selected.parquet` has them."""
    schema = source.pool.table([]).schema
    return [pa.field(name, schema.field(name).type) for name in source.extra]


def write_parquet(path: Path, schema: pa.Schema, rows: Iterable[dict[str, Any]]) -> int:
    """Writes rows as Parquet in small row groups, so that images never pile up in memory; returns how many."""
    count, remaining = 0, iter(rows)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while some := list(islice(remaining, CHUNK)):
            writer.write_table(pa.Table.from_pylist(some, schema=schema))
            count += len(some)
    return count
