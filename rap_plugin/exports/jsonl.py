"""Plain JSON lines, for everything else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rap_plugin.exports import Exported
from rap_plugin.exports.files import write_image, write_jsonl
from rap_plugin.exports.rows import SelectedPool

FILE = "train.jsonl"


def write(source: SelectedPool, draft: Path, folder: Path) -> Exported:
    """`train.jsonl` with question, answer, images (paths beside it), source and the rap columns, and an images folder."""

    def rows() -> Iterator[dict[str, Any]]:
        for row in source.rows():
            yield {
                "question": row.sample.question,
                "answer": row.sample.gold,
                "images": [write_image(draft, data) for data in row.sample.images],
                "source": row.sample.source,
                **row.extra,
            }

    count = write_jsonl(draft / FILE, rows())
    return Exported(folder / FILE, count, f'datasets.load_dataset("json", data_files="{folder / FILE}", split="train")')
