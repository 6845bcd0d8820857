"""Write the demo pool: problems over held-out digits, each with the role that it is known to play.

    python scripts/make_demo_pool.py --out rap_plugin/demo/pool.parquet --seed 0

The rows are the same for the same seed and number on every machine (the PNG bytes too); the file is the same for the same pyarrow.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from digit_problems import ROLES, Problem, make_problems

ROWS = 720
IMAGES = pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()}))
SCHEMA = pa.schema(
    {"id": pa.string(), "problem": pa.string(), "answer": pa.string(), "images": IMAGES, "role": pa.string(),
     "needs_image": pa.bool_(), "kind": pa.string()}
)  # fmt: skip


def demo_pool(rows: int = ROWS, seed: int = 0) -> pa.Table:
    """The demo pool as a table."""
    return pool_table(make_problems(rows, "held_out", seed), "demo-{:04d}")


def pool_table(problems: Sequence[Problem], name: str) -> pa.Table:
    """Problems as a pool: `problem` holds one `<image>` placeholder, `images` one PNG with its bytes; `name` formats row numbers to ids."""
    records = [
        {
            "id": name.format(i),
            "problem": f"<image>{p.question}",
            "answer": p.answer,
            "images": [{"bytes": p.image, "path": f"{name.format(i)}.png"}],
            "role": p.role,
            "needs_image": p.needs_image,
            "kind": p.kind,
        }
        for i, p in enumerate(problems)
    ]
    return pa.Table.from_pylist(records, schema=SCHEMA)


def write_pool(table: pa.Table, out: Path) -> None:
    pq.write_table(table, out, compression="zstd", compression_level=19)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the Parquet file to write")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    table = demo_pool(args.rows, args.seed)
    write_pool(table, args.out)
    roles = Counter(table["role"].to_pylist())
    share = sum(table["needs_image"].to_pylist()) / len(table)
    print(f"{args.out}: {len(table)} rows, {args.out.stat().st_size / 1e6:.2f} MB, {share:.0%} need the image")
    print("  ".join(f"{role} {roles[role]}" for role in ROLES))


if __name__ == "__main__":
    main()
