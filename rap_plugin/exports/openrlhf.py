"""OpenRLHF (0.11): one JSON line a prompt, read by its `PromptDataset`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rap_plugin.exports import Exported
from rap_plugin.exports.files import write_image, write_jsonl
from rap_plugin.exports.rows import SelectedPool

FILE = "train.jsonl"


def write(source: SelectedPool, draft: Path, folder: Path) -> Exported:
    """`train.jsonl` with prompt (messages), label, images, datasource and the rap columns, and an images folder.

    Image paths are absolute: the trainer's workers open them from a working directory of their own.
    """

    def rows() -> Iterator[dict[str, Any]]:
        for row in source.rows():
            yield {
                "prompt": source.messages(row.sample),
                "label": row.sample.gold,
                "images": [str(folder / write_image(draft, data)) for data in row.sample.images],
                "datasource": row.sample.source or "rap",
                **row.extra,
            }

    count = write_jsonl(draft / FILE, rows())
    path = folder / FILE
    hint = (
        f"--data.prompt_dataset {path} --data.input_key prompt --data.label_key label --data.image_key images "
        "--data.apply_chat_template"
    )
    return Exported(path, count, hint)
