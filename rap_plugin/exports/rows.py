"""The selected rows as samples: what every export starts from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rap_plugin.config import PoolConfig, PromptConfig
from rap_plugin.errors import EmptyPool, EmptySelection, RapError
from rap_plugin.plugins import get_plugins, load_plugin_files
from rap_plugin.run_dir import files
from rap_plugin.run_dir.about import config_of, read_run
from rap_plugin.run_dir.pool import missing_pool, open_pool_of, pool_places
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
    missing: RapError | None = None
    """That the run's pool is not to be found or is another one now, which rows that only name image files need."""
    warning: str = ""
    """The same of a pool that is there: its rows are those of the run no longer."""

    def __len__(self) -> int:
        return len(self.pool)

    def rows(self) -> Iterator[ExportRow]:
        """The selected samples in the order of `selected.parquet`; RapError where one is not what was probed."""
        formats = get_plugins().registry().things["formats"]
        for start in range(0, len(self.pool), CHUNK):
            numbers = list(range(start, min(start + CHUNK, len(self.pool))))
            extra = self.pool.table(numbers).select(list(self.extra)).to_pylist()
            ids = [row["rap_id"] for row in extra]
            try:
                samples = load_samples(self.pool, self.config, numbers, formats, ids)
            except RapError as error:
                raise error if self.missing is None else RapError(error, "; ", self.missing) from None
            for sample, columns in zip(samples, extra, strict=True):
                yield ExportRow(sample.row, sample, columns)

    def messages(self, sample: Sample) -> list[dict[str, str]]:
        """The prompt of the image arm as chat messages, `<image>` where the images go."""
        text = f"{sample.question} {self.prompt.instruction}" if self.prompt.instruction else sample.question
        system = [{"role": "system", "content": self.prompt.system}] if self.prompt.system else []
        return [*system, {"role": "user", "content": text}]


def open_selected(run: Path, given: str | None = None) -> SelectedPool:
    """Opens `selected.parquet` as a pool of its own, read the way the run's pool was; `given` says where that is now."""
    about = read_run(run)
    config = config_of(about, run)
    load_plugin_files(config.plugins)
    selected = run / files.SELECTED
    if not selected.is_file():
        if not (run / files.SCORES).is_file():
            raise RapError(
                f"{run}: the run is not finished (there is no {files.SELECTED}); `rap select` goes on with it"
            )
        raise RapError(f"{run}: there is no {files.SELECTED}; `rap decide {run}` writes it")
    root, problem, is_there = _root_of(run, about, given)
    there = config.pool.model_copy(
        update={"path": str(selected), "limit": None, "split": None, "image_root": str(root or run)}
    )
    try:
        pool = open_pool(there)
    except EmptyPool:
        raise EmptySelection(
            f"{run}: the selection is empty, so there is nothing to export; loosen it with `rap decide`"
        ) from None
    extra = tuple(name for name in pool.columns if name.startswith("rap_"))
    if "rap_id" not in extra:
        raise RapError(f"{selected}: has no column rap_id; `rap decide {run}` writes the file again")
    warning = f"{problem}; exported is what {files.SELECTED} holds" if problem is not None and is_there else ""
    return SelectedPool(run, pool, there, config.prompt, extra, problem, warning)


def _root_of(run: Path, about: Mapping[str, Any], given: str | None) -> tuple[Path | None, RapError | None, bool]:
    """(where relative image paths of the run's pool start, why that is not known, whether a pool is there at all).

    A pool that is not the one that was probed is as good as none: rows with bytes do without. Raises RapError for one
    that was given.
    """
    formats = get_plugins().registry().things["formats"]
    try:
        with files.open_store(run) as store:
            return open_pool_of(run, about, store, formats, given).root, None, True
    except RapError as problem:
        if given is not None:
            raise
        is_there = any(True for _ in pool_places(run, about))
        return None, problem if is_there else missing_pool(run, about), is_there
