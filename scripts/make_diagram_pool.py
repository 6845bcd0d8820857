"""Write the embedded pool of drawn geometry diagrams.

    python scripts/make_diagram_pool.py --out rap_plugin/modality_gap/pool

Training problems in one rendering each, test problems in all of them. The rows are the same everywhere, the PNG bytes for the same Pillow.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rap_plugin.modality_gap.diagrams import Diagram, make_pool
from rap_plugin.modality_gap.drawing import RENDERINGS

COUNTS = {"train": 960, "test": 200}
SEEDS = {"train": 0, "test": 1}
SCHEMA = pa.schema(
    {
        "id": pa.string(), "problem_id": pa.string(), "kind": pa.string(), "rendering": pa.string(),
        "problem": pa.string(), "facts": pa.list_(pa.string()), "text": pa.string(), "image": pa.string(), "answer": pa.string(),
        "images": pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()})),
    }
)  # fmt: skip


def rows_of(diagram: Diagram, renderings: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """One row per rendering; `text` and `image` are the prompts of the two conditions."""
    for name in renderings:
        yield {
            "id": f"{diagram.id}-{name}",
            "problem_id": diagram.id,
            "kind": diagram.kind,
            "rendering": name,
            "problem": f"<image>{diagram.question}",
            "facts": list(diagram.facts),
            "text": f"<image>{diagram.text_prompt}",
            "image": f"<image>{diagram.image_prompt}",
            "answer": diagram.answer,
            "images": [{"bytes": diagram.images[name], "path": f"{diagram.id}-{name}.png"}],
        }


def diagram_pool(split: str) -> pa.Table:
    """`train` or `test` as a table."""
    names = tuple(RENDERINGS)
    pool = make_pool(COUNTS[split], SEEDS[split])
    shown = [(names[number % len(names)],) if split == "train" else names for number in range(len(pool))]
    rows = [row for diagram, some in zip(pool, shown, strict=True) for row in rows_of(diagram, some)]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of train.parquet and test.parquet")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for split in COUNTS:
        table, path = diagram_pool(split), args.out / f"{split}.parquet"
        pq.write_table(table, path, compression="zstd", compression_level=19)
        print(f"{path}: {len(table)} rows, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
