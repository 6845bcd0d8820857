"""Folders: what `datasets` saves, Parquet files, or the one data file inside."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rap_plugin.config import PoolConfig
from rap_plugin.errors import Option, RapError
from rap_plugin.samples.open_file import READABLE, SUFFIXES, open_file
from rap_plugin.samples.pool import Pool

_SHARD = re.compile(r"(?P<split>.+?)[-_.]\d+(-of-\d+)?")
_SPLITS = ("train", "training", "validation", "valid", "val", "dev", "test", "testmini", "eval")


def open_folder(folder: Path, config: PoolConfig) -> Pool:
    """Opens a folder.

    In this order: a folder of `Dataset.save_to_disk`, one of `DatasetDict.save_to_disk`, Parquet files
    (concatenated, sorted by name), the only data file in it. Several splits: `config.split`, else "train".
    """
    try:
        return _opened(folder, config)
    except OSError as error:  # a part of it that may not be read, or is gone since it was listed
        raise RapError(
            f"{folder}: the folder cannot be looked through ({error.strerror}: {error.filename}); give the file that holds the pool"
        ) from None


def _opened(folder: Path, config: PoolConfig) -> Pool:
    if (folder / "dataset_dict.json").is_file():
        splits = _strings(folder / "dataset_dict.json", "splits")
        return _open_saved(folder / _chosen(folder, splits, config.split), config, folder)
    if (folder / "state.json").is_file():
        return _open_saved(folder, config, folder)
    parquet = sorted(
        file
        for file in _shown(folder, folder.rglob("*"))
        if SUFFIXES.get(file.suffix.lower()) == "parquet" and file.is_file()
    )
    if parquet:
        from rap_plugin.samples.containers.parquet import ParquetPool

        return ParquetPool(_split_files(folder, parquet, config.split), config.path, folder)
    files = sorted(
        file for file in _shown(folder, folder.iterdir()) if file.suffix.lower() in SUFFIXES and file.is_file()
    )
    if len(files) == 1:
        return open_file(files[0], config)
    if not files and (packed := _packed(folder, config)) is not None:
        return packed
    if not files:
        raise RapError(f"{folder}: no pool in this folder; give {READABLE}")
    names = ", ".join(file.name for file in files[:6])
    raise RapError(f"{folder}: several files ({names}{', ..' if len(files) > 6 else ''}); give the path of one")


def _shown(folder: Path, files: Iterable[Path]) -> Iterator[Path]:
    """Files of a folder without hidden ones and what hidden folders hold: macOS and notebooks leave copies there."""
    return (file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts))


def _packed(folder: Path, config: PoolConfig) -> Pool | None:
    """WebDataset shards, the metadata file of an image folder further down, or images by class; None where there is none."""
    shards = sorted(file for file in _shown(folder, folder.rglob("*.tar")) if file.is_file())
    if shards:
        from rap_plugin.samples.containers.tar import TarPool

        return TarPool(_split_files(folder, shards, config.split), config.path, folder)
    lines = sorted(file for file in _shown(folder, folder.rglob("*.jsonl.gz")) if file.is_file())
    told = lines or sorted(
        file
        for file in _shown(folder, folder.rglob("metadata.*"))
        if file.suffix.lower() in SUFFIXES and file.is_file()
    )
    if told:
        chosen = _split_files(folder, told, config.split)
        if len(chosen) > 1:
            names = ", ".join(str(file.relative_to(folder)) for file in chosen[:6])
            raise RapError(f"{folder}: several files ({names}); give the path of one, or ", Option("pool.split"))
        return open_file(chosen[0], config.model_copy(update={"split": None}))
    from rap_plugin.samples.containers.class_folders import ClassFolders, find_classes

    classes = find_classes(folder / config.split if config.split else folder)
    return ClassFolders(folder, config.path, classes) if classes else None


def _open_saved(folder: Path, config: PoolConfig, root: Path) -> Pool:
    from rap_plugin.samples.containers.arrow import ArrowPool, open_arrow

    state = _json(folder / "state.json")
    if state.get("_indices_data_files"):
        raise RapError(f"{folder}: saved by an old `datasets` with an indices file; save it again with a current one")
    names = [entry.get("filename") for entry in state.get("_data_files") or [] if isinstance(entry, dict)]
    if not names or not all(isinstance(name, str) for name in names):
        raise RapError(f"{folder / 'state.json'}: names no Arrow files; save the folder again with `save_to_disk`")
    files = [folder / str(name) for name in names]
    for file in files:
        if not file.is_file():
            raise RapError(f"{file}: missing, though state.json names it; copy the whole folder")
    return ArrowPool([open_arrow(file) for file in files], files, config.path, root, "datasets")


def _split_files(folder: Path, files: Sequence[Path], split: str | None) -> list[Path]:
    """The files of the chosen split, as names like train-00000-of-00002.parquet or train/0000.parquet tell it."""
    splits = {file: _split_of(file, folder) for file in files}
    known = sorted({name for name in splits.values() if name is not None})
    if split is None and len(known) < 2:
        return list(files)
    chosen = _chosen(folder, known, split)
    return [file for file in files if splits[file] == chosen]


def _split_of(file: Path, folder: Path) -> str | None:
    match = _SHARD.fullmatch(file.stem)
    for name in (match["split"] if match else file.stem, *reversed(file.relative_to(folder).parts[:-1])):
        if name.lower() in _SPLITS:
            return name
    return None


def _chosen(folder: Path, splits: Sequence[str], wanted: str | None) -> str:
    if wanted is not None and wanted not in splits:
        raise RapError(
            f"{folder}: no split {wanted!r}; it has {', '.join(splits) or 'no named splits'} (",
            Option("pool.split"),
            ")",
        )
    if wanted is not None:
        return wanted
    if len(splits) == 1:
        return splits[0]
    if "train" in splits:
        return "train"
    raise RapError(f"{folder}: several splits ({', '.join(splits)}); choose one with ", Option("pool.split"))


def _strings(path: Path, name: str) -> list[str]:
    values = _json(path).get(name)
    # A split is a folder's name and nothing else: no way out of the folder.
    if (
        not isinstance(values, list)
        or not values
        or not all(isinstance(v, str) and re.fullmatch(r"\w[\w.-]*", v) for v in values)
    ):
        raise RapError(f"{path}: names no {name}; save the folder again with `save_to_disk`")
    return values


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise RapError(f"{path}: cannot be read; save the folder again with `save_to_disk`")
    return content
