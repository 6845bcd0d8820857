"""A pool as RAP's released code has it: the first rows of a Parquet pool, with `onlyid`, by which its dumps name them.

python number_pool.py POOL OUT ROWS
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def number_pool(pool: Path, out: Path, rows: int) -> int:
    """Writes the numbered pool; returns how many rows it has."""
    table = pq.read_table(pool).slice(0, rows)
    if "onlyid" not in table.column_names:
        table = table.append_column("onlyid", pa.array([f"row-{i}" for i in range(len(table))]))
    out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, out)
    return len(table)


if __name__ == "__main__":
    print(f"{number_pool(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))} rows: {sys.argv[2]}")
