"""Opens a pool that is one file, by its ending."""

from __future__ import annotations

from pathlib import Path

from rap_plugin.config import PoolConfig
from rap_plugin.errors import Option, RapError
from rap_plugin.samples.pool import Pool

SUFFIXES = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
"""File name endings and the kinds of container that they mean."""


ARCHIVES = {".gz": "gzip", ".tar": "tar"}
"""Endings of pools that are packed: `.jsonl.gz` and WebDataset shards."""

READABLE = (
    "a .json, .jsonl, .jsonl.gz, .csv, .tsv, .parquet, .arrow or .tar file, a folder of Parquet files, of images by class, "
    "or a saved `datasets` folder"
)


def open_file(path: Path, config: PoolConfig) -> Pool:
    """Opens one file by its ending; imports stay inside because each container loads another library."""
    kind = SUFFIXES.get(path.suffix.lower()) or ARCHIVES.get(path.suffix.lower())
    if kind == "gzip" and SUFFIXES.get(Path(path.stem).suffix.lower()) != "jsonl":
        raise RapError(f"{path}: of compressed files only .jsonl.gz is read; unpack it")
    if kind is None:
        raise RapError(f"{path}: unknown kind of file {path.suffix or '(no ending)'}; give {READABLE}")
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise RapError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    if not start.strip():
        raise RapError(f"{path}: the file is empty; give a pool with at least one problem")
    if start.startswith(b"version https://git-lfs"):
        raise RapError(f"{path}: a Git LFS pointer, not the data; fetch it with `git lfs pull`")
    if config.split is not None and kind != "json" and not path.stem.lower().startswith(config.split.lower()):
        raise RapError(
            f"{path}: one file of this kind has no splits; leave ", Option("pool.split"), " out, or give the folder"
        )
    if kind == "json":
        from rap_plugin.samples.containers.json_file import open_json

        return open_json(path, config)
    if kind == "jsonl":
        from rap_plugin.samples.containers.jsonl import JsonlPool

        return JsonlPool(path, config.path)
    if kind == "gzip":
        from rap_plugin.samples.containers.gzip_lines import GzipJsonlPool

        return GzipJsonlPool(path, config.path)
    if kind == "tar":
        from rap_plugin.samples.containers.tar import TarPool

        return TarPool([path], config.path, path.parent)
    if kind == "csv":
        from rap_plugin.samples.containers.csv_file import CsvPool

        return CsvPool(path, config.path)
    if kind == "parquet":
        from rap_plugin.samples.containers.parquet import ParquetPool

        return ParquetPool([path], config.path, path.parent)
    from rap_plugin.samples.containers.arrow import ArrowPool, open_arrow

    return ArrowPool([open_arrow(path)], [path], config.path, path.parent, "arrow")
