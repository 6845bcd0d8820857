"""The pool as OpenRLHF reads it, blended in memory, and the rows that the trainer gets instead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rap_plugin.errors import RapError, one_line
from rap_plugin.hosts.pool import replace_folder

TRAIN_ROWS = "train_rows"
"""Folder of the rows that the trainer reads."""


class _Strategy:
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
            _Strategy(args),
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


def save_train_rows(pool: Path, numbers: Sequence[int], place: Path) -> Path:
    """Saves some rows of the pool below `place` with their original columns, types and order; returns the folder."""
    folder = place / TRAIN_ROWS
    replace_folder(folder, lambda draft: load_rows(pool).select(numbers).save_to_disk(str(draft)))
    return folder


def load_rows(folder: Path) -> Any:
    """A saved dataset, memory-mapped."""
    from datasets import load_from_disk

    return load_from_disk(str(folder))
