"""Rows of the modality gap's four conditions for TRL, all made of *pairs*: a problem with both of its prompts.

A pair is a row of a Parquet file, either with the columns `text`, `image` (the two prompts), `images`, `answer` (the embedded
pool of diagrams), or as `rap modality-gap prepare --condition contrastive` writes it: `prompt` and `contrastive_prompt` as
messages, `images`, and `answer` or `reward_model.ground_truth`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError, one_line
from rap_plugin.samples.sample import IMAGE

TRAINING_FILE = "train.parquet"


def find_pairs(path: str | Path) -> Path:
    """The Parquet file: `path` itself, or the training file in a folder. Raises RapError where there is none."""
    found = Path(os.path.expanduser(path))
    if found.is_dir():
        found = found / TRAINING_FILE
    if not found.is_file():
        raise RapError(
            f"{path}: no Parquet file of pairs; make one with rap modality-gap prepare --condition contrastive"
        )
    return found


def file_hash(path: Path) -> str:
    """16 hexadecimal digits of the file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


def read_pairs(path: Path) -> Any:
    """A datasets.Dataset with `text`, `image` (prompts, one message each), `images` and `answer`.

    Raises RapError for a file that is no Parquet or lacks a column.
    """
    import datasets

    try:
        rows = datasets.Dataset.from_parquet(str(path))
    except Exception as error:  # pyarrow's and datasets' errors have no common class
        raise RapError(f"{path}: not a Parquet file that datasets can read ({one_line(error)})") from None
    columns = set(rows.column_names)
    names = ("prompt", "contrastive_prompt") if {"prompt", "contrastive_prompt"} <= columns else ("text", "image")
    missing = [name for name in (*names, "images") if name not in columns]
    if not columns & {"answer", "reward_model"}:
        missing.append("answer")
    if missing:
        raise RapError(f"{path}: no column {missing[0]}; columns: {', '.join(rows.column_names)}")

    def pair(row: Mapping[str, Any]) -> dict[str, Any]:
        answer = row["answer"] if "answer" in columns else row["reward_model"]["ground_truth"]
        text, image = row[names[0]], row[names[1]]
        return {"text": _message(text), "image": None if image is None else _message(image), "answer": str(answer)}

    said = [{"role": datasets.Value("string"), "content": datasets.Value("string")}]
    features = datasets.Features(
        {"text": said, "image": said, "images": datasets.Sequence(datasets.Image()), "answer": datasets.Value("string")}
    )
    rows = rows.cast_column("images", datasets.Sequence(datasets.Image()))
    extra = [name for name in rows.column_names if name not in features]
    return rows.map(pair, remove_columns=extra, features=features, desc="pairs")


def rows_of(pairs: Any, condition: str, sampled_by: str = "teacher") -> Any:
    """The rows of a condition: `prompt`, `images`, `answer`, with `contrastive_prompt` where `condition` is contrastive.

    text: the text prompts; image: the image prompts; mix: all of the former, then all of the latter. contrastive: both, the
    sampled one as `prompt`: the text prompt (`sampled_by="teacher"`) or the image prompt (`"student"`).
    """
    import datasets

    if condition == "mix":
        return datasets.concatenate_datasets([rows_of(pairs, "text"), rows_of(pairs, "image")])
    names = {"text": ("text", "image"), "image": ("image", "text"), "contrastive": ("text", "image")}[condition]
    if condition == "contrastive" and sampled_by == "student":
        names = names[1], names[0]
    if condition != "text":
        pairs = pairs.filter(lambda prompt: prompt is not None, input_columns="image")
    rows = pairs.rename_columns({names[0]: "prompt", names[1]: "contrastive_prompt"})
    return rows if condition == "contrastive" else rows.remove_columns("contrastive_prompt")


def _message(prompt: Any) -> list[dict[str, str]]:
    """A prompt as messages without image placeholders, which TRL puts in front itself."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    return [{"role": one["role"], "content": one["content"].replace(IMAGE, "").strip()} for one in messages]
