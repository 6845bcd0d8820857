"""The pool as OpenRLHF reads it, and the rows that the trainer gets instead.

OpenRLHF blends its datasets in memory. The blend is saved once into the run directory, images inside: the run can
then be decided, reported and exported again later, without OpenRLHF and without the original files.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rap_plugin.errors import RapError, one_line

POOL = "pool"
"""Folder of the saved blend, below the run directory."""

TRAIN_ROWS = "train_rows"
"""Folder of the rows that the trainer reads."""

SOURCE = "source.json"
"""Beside the saved blend: what it was made from."""


class _Reader:
    """What `blending_datasets` asks of a training strategy: where to print, and the arguments."""

    def __init__(self, args: SimpleNamespace) -> None:
        self.args = args

    def print(self, *words: object) -> None:
        """Says nothing: the trainer prints the same again."""

    def is_rank_0(self) -> bool:
        return False


def read_dataset(args: SimpleNamespace) -> Any:
    """The training rows in the trainer's order: blended, split and cut as `prepare_datasets` does it.

    Raises RapError with the dataset's name where OpenRLHF could not read it either.
    """
    from openrlhf.datasets.utils import blending_datasets

    data = args.data
    try:
        rows = blending_datasets(
            data.prompt_dataset,
            data.prompt_probs,
            _Reader(args),
            args.train.seed,
            max_count=data.max_samples,
            dataset_split=data.prompt_split,
        )
        return rows.select(range(min(data.max_samples, len(rows))))
    except Exception as error:
        raise RapError(
            f"--data.prompt_dataset {data.prompt_dataset}: cannot be read ({one_line(error)}); "
            "check the paths, --data.prompt_split and --data.prompt_probs"
        ) from error


def save_pool(rows: Any, run: Path) -> Path:
    """Saves the blend below `run`, unless exactly it is there; returns its folder."""
    folder = run / POOL
    source = json.dumps({"fingerprint": rows._fingerprint, "rows": len(rows), "columns": rows.column_names}, indent=2)
    mark = folder / SOURCE
    if mark.is_file() and mark.read_text(encoding="utf-8") == source:
        return folder

    def write(draft: Path) -> None:
        rows.save_to_disk(str(draft))
        (draft / SOURCE).write_text(source, encoding="utf-8")

    _replace(folder, write)
    return folder


def save_train_rows(pool: Path, numbers: Sequence[int], run: Path) -> Path:
    """Saves some rows of the pool with their original columns, types and order; returns the folder."""
    folder = run / TRAIN_ROWS
    _replace(folder, lambda draft: load_rows(pool).select(numbers).save_to_disk(str(draft)))
    return folder


def load_rows(folder: Path) -> Any:
    """A saved dataset, memory-mapped."""
    from datasets import load_from_disk

    return load_from_disk(str(folder))


def _replace(folder: Path, write: Callable[[Path], Any]) -> None:
    """Writes a folder beside its place and moves it there, so that it is never half a dataset."""
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        write(draft)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(draft, folder)
    except OSError as error:
        raise RapError(
            f"{folder}: cannot be written ({error.strerror or one_line(error)}); free some space there"
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
