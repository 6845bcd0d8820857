"""The selected rows as samples: what every export starts from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rap_plugin.config import PoolConfig, PromptConfig
from rap_plugin.errors import EmptyPool, EmptySelection, RapError
from rap_plugin.plugins import get_plugins, load_plugin_files
from rap_plugin.run_dir import files
from rap_plugin.run_dir.about import config_of, read_run
from rap_plugin.samples.ingest import load_samples
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.pool import Pool
from rap_plugin.samples.sample import Sample

CHUNK = 64
"""Rows in memory at a time, with their images."""


@dataclass(frozen=True)
class ExportRow:
    """One selected sample and its `rap_*` columns."""

    number: int
    sample: Sample
    extra: dict[str, Any]

    @property
    def places(self) -> list[dict[str, Any]]:
        """The images as Parquet structs {bytes, path}, bytes as they came."""
        return [{"bytes": data, "path": None} for data in self.sample.images]


@dataclass(frozen=True)
class SelectedPool:
    """The selection of a run, opened."""

    run: Path
    pool: Pool
    config: PoolConfig
    prompt: PromptConfig
    extra: tuple[str, ...]
    """Names of the `rap_*` columns."""

    def __len__(self) -> int:
        return len(self.pool)

    def rows(self) -> Iterator[ExportRow]:
        """The selected samples in the order of `selected.parquet`; RapError where one is not what was probed."""
        formats = get_plugins().registry().things["formats"]
        for start in range(0, len(self.pool), CHUNK):
            numbers = list(range(start, min(start + CHUNK, len(self.pool))))
            extra = self.pool.table(numbers).select(list(self.extra)).to_pylist()
            ids = [row["rap_id"] for row in extra]
            for sample, columns in zip(load_samples(self.pool, self.config, numbers, formats, ids), extra, strict=True):
                yield ExportRow(sample.row, sample, columns)

    def messages(self, sample: Sample) -> list[dict[str, str]]:
        """The prompt of the image arm as chat messages, `<image>` where the images go."""
        text = f"{sample.question} {self.prompt.instruction}" if self.prompt.instruction else sample.question
        system = [{"role": "system", "content": self.prompt.system}] if self.prompt.system else []
        return [*system, {"role": "user", "content": text}]


def open_selected(run: Path) -> SelectedPool:
    """Opens `selected.parquet` as a pool of its own, read the way the run's pool was."""
    config = config_of(read_run(run), run)
    load_plugin_files(config.plugins)
    selected = run / files.SELECTED
    if not selected.is_file():
        raise RapError(f"{run}: there is no {files.SELECTED}; `rap decide {run}` writes it")
    there = config.pool.model_copy(update={"path": str(selected), "limit": None, "split": None})
    if there.image_root is None:
        there = there.model_copy(update={"image_root": str(_root_of(config.pool))})
    try:
        pool = open_pool(there)
    except EmptyPool:
        raise EmptySelection(
            f"{run}: the selection is empty, so there is nothing to export; loosen it with `rap decide`"
        ) from None
    extra = tuple(name for name in pool.columns if name.startswith("rap_"))
    if "rap_id" not in extra:
        raise RapError(f"{selected}: has no column rap_id; `rap decide {run}` writes the file again")
    return SelectedPool(run, pool, there, config.prompt, extra)


def _root_of(config: PoolConfig) -> Path:
    """Where relative image paths of the original pool start; rows with their bytes do without it."""
    try:
        return open_pool(config).root
    except RapError:
        path = Path(config.path).expanduser()
        root = path if path.is_dir() else path.parent
        return root if root.is_dir() else Path.cwd()
