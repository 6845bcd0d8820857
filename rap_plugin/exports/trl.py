"""TRL: a saved `datasets` folder with conversational prompts, as `GRPOTrainer` takes it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from rap_plugin.errors import RapError
from rap_plugin.exports import Exported
from rap_plugin.exports.columns import extra_fields
from rap_plugin.exports.rows import CHUNK, SelectedPool
from rap_plugin.samples.sample import IMAGE


def write(source: SelectedPool, draft: Path, folder: Path) -> Exported:
    """A `datasets` folder with prompt (messages of image and text parts), images, solution and the rap columns.

    Reward functions of TRL get `solution` and the rap columns by name. Images keep their bytes; `datasets` decodes them
    when a row is read.
    """
    datasets = need_datasets()
    part = {"type": datasets.Value("string"), "text": datasets.Value("string")}
    features = datasets.Features(
        {
            "prompt": [{"role": datasets.Value("string"), "content": [part]}],
            "images": [datasets.Image()],
            "solution": datasets.Value("string"),
            **{field.name: datasets.Value(str(field.type)) for field in _values(source)},
        }
    )
    rows = (
        {
            "prompt": parts_of(source.messages(row.sample)),
            "images": row.places,
            "solution": row.sample.gold,
            **row.extra,
        }
        for row in source.rows()
    )
    count = save_rows(draft, features, rows)
    return Exported(folder, count, f'train_dataset=datasets.load_from_disk("{folder}")')


def need_datasets() -> Any:
    """The datasets library. Raises RapError where it is not installed."""
    try:
        import datasets
    except ImportError:
        raise RapError("--to trl needs the datasets library; pip install 'rap-plugin[datasets]'") from None
    return datasets


def save_rows(draft: Path, features: Any, rows: Iterable[dict[str, Any]]) -> int:
    """Saves rows as a `datasets` folder, a few in memory at a time; returns how many."""
    datasets = need_datasets()
    schema = features.arrow_schema
    # In a folder of its own: `save_to_disk` refuses to write where its rows come from.
    stream = draft / "rows" / "rows.arrow"
    stream.parent.mkdir()
    remaining, count = iter(rows), 0
    with pa.OSFile(str(stream), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        while some := list(islice(remaining, CHUNK)):
            writer.write_table(pa.Table.from_pylist(some, schema=schema))
            count += len(some)
    silent = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        datasets.Dataset.from_file(str(stream)).save_to_disk(str(draft))
    finally:
        if not silent:
            datasets.enable_progress_bars()
    shutil.rmtree(stream.parent)
    return count


def _values(source: SelectedPool) -> list[pa.Field]:
    return [
        field.with_type(pa.float64()) if pa.types.is_floating(field.type) else field for field in extra_fields(source)
    ]


def parts_of(messages: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Messages whose text is cut at the placeholders, so that every image stays in its place."""
    return [
        {
            "role": message["role"],
            "content": [
                {"type": "image", "text": None} if piece == IMAGE else {"type": "text", "text": piece}
                for piece in re.split(f"({re.escape(IMAGE)})", message["content"])
                if piece
            ],
        }
        for message in messages
    ]
