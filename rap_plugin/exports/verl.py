"""verl: Parquet rows as its `RLHFDataset` and reward managers read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from rap_plugin.exports import Exported
from rap_plugin.exports.columns import IMAGES, MESSAGES, extra_fields, write_parquet
from rap_plugin.exports.rows import SelectedPool

FILE = "train.parquet"
REWARD = pa.struct({"style": pa.string(), "ground_truth": pa.string()})
INFO = pa.struct({"split": pa.string(), "index": pa.int64(), "answer": pa.string(), "question": pa.string()})


def write(source: SelectedPool, draft: Path, folder: Path) -> Exported:
    """`train.parquet` with data_source, prompt, images, ability, reward_model, extra_info and the rap columns."""
    schema = pa.schema(
        [
            pa.field("data_source", pa.string()),
            pa.field("prompt", MESSAGES),
            pa.field("images", IMAGES),
            pa.field("ability", pa.string()),
            pa.field("reward_model", REWARD),
            pa.field("extra_info", INFO),
            *extra_fields(source),
        ]
    )

    def rows() -> Iterator[dict[str, Any]]:
        for row in source.rows():
            gold = row.sample.gold
            yield {
                "data_source": row.sample.source or "rap",
                "prompt": source.messages(row.sample),
                "images": row.places,
                "ability": "math",
                "reward_model": {"style": "rule", "ground_truth": gold},
                "extra_info": {"split": "train", "index": row.number, "answer": gold, "question": row.sample.question},
                **row.extra,
            }

    count = write_parquet(draft / FILE, schema, rows())
    return Exported(
        folder / FILE, count, f"data.train_files={folder / FILE} data.prompt_key=prompt data.image_key=images"
    )
