"""Prepared rows in the forms of OpenRLHF and TRL, read from the Parquet file that verl takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rap_plugin.exports.files import write_image, write_jsonl
from rap_plugin.exports.trl import need_datasets, parts_of, save_rows

FORMS = ("openrlhf", "trl")
CHUNK = 64


def write_form(form: str, parquet: Path, split: str, draft: Path, folder: Path) -> int:
    """Writes `openrlhf/SPLIT.jsonl` (with an images folder) or the datasets folder `trl/SPLIT`; returns the rows."""
    target = draft / form
    target.mkdir(exist_ok=True)
    if form == "openrlhf":
        return write_jsonl(target / f"{split}.jsonl", _openrlhf_rows(parquet, target, folder / form))
    (target / split).mkdir()
    return _write_trl(parquet, target / split)


def _rows(parquet: Path) -> Iterator[dict[str, Any]]:
    for batch in pq.ParquetFile(parquet).iter_batches(CHUNK):
        yield from batch.to_pylist()


def _openrlhf_rows(parquet: Path, draft: Path, folder: Path) -> Iterator[dict[str, Any]]:
    """One JSON line a prompt. Image paths are absolute: workers open them from a working directory of their own."""
    for row in _rows(parquet):
        yield {
            "prompt": row["prompt"],
            "label": row["reward_model"]["ground_truth"],
            "images": [str(folder / write_image(draft, image["bytes"])) for image in row["images"]],
            "datasource": row["data_source"],
            **{name: row[name] for name in ("contrastive_prompt", "is_contrastive") if name in row},
        }


def _write_trl(parquet: Path, draft: Path) -> int:
    """Conversational prompts whose parts name the place of the image, images, solution."""
    datasets = need_datasets()
    text = datasets.Value("string")
    messages = [{"role": text, "content": [{"type": text, "text": text}]}]
    contrastive = "contrastive_prompt" in pq.read_schema(parquet).names
    features = {"prompt": messages, "images": [datasets.Image()], "solution": text}
    if contrastive:
        features |= {"contrastive_prompt": messages, "is_contrastive": datasets.Value("bool")}

    def rows() -> Iterator[dict[str, Any]]:
        for row in _rows(parquet):
            made = {
                "prompt": parts_of(row["prompt"]),
                "images": row["images"],
                "solution": row["reward_model"]["ground_truth"],
            }
            if contrastive:
                made["contrastive_prompt"] = parts_of(row["contrastive_prompt"])
                made["is_contrastive"] = row["is_contrastive"]
            yield made

    return save_rows(draft, datasets.Features(features), rows())
