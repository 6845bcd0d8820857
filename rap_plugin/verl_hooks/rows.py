"""Which rows of a training file are in a run's selection."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rap_plugin.config import PoolConfig, RunConfig
from rap_plugin.errors import RapError
from rap_plugin.pipeline.selection import load_selection
from rap_plugin.plugins import get_plugins, load_plugin_files
from rap_plugin.run_dir import files
from rap_plugin.run_dir.about import config_of, read_run
from rap_plugin.run_dir.pool import known_fingerprint
from rap_plugin.run_dir.tables import score_columns
from rap_plugin.samples.formats.base import RowProblem
from rap_plugin.samples.images import image_bytes
from rap_plugin.samples.ingest import choose_format
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.pool import Pool
from rap_plugin.samples.sample import ImageProblem, sample_id

logger = logging.getLogger("rap_plugin.verl")

CHUNK = 64
"""Rows in memory at a time, with their images."""

COUNTS = ("rap_right_image", "rap_rollouts_image")


@dataclass(frozen=True)
class ChosenRows:
    """The selection of a finished run."""

    run: Path
    pool: PoolConfig
    fingerprint: str
    """Of the pool that was selected from."""
    counts: Mapping[str, tuple[int, int]]
    """Per selected id: right and wrong rollouts of the image arm."""


@dataclass(frozen=True)
class MatchedRows:
    """The selected rows of some training files."""

    numbers: list[int]
    """Positions in the files, one after the other, in order."""
    ids: list[str | None]
    """The sample id of every row; None where it is not selected."""


def read_chosen(run: Path, at_least: int = 0, everything: bool = False) -> ChosenRows:
    """Reads what a run selected, filled up with the next best samples to `at_least` rows; or every row that it scored.

    Raises RapError where it is not finished, empty, not a run, or too small a pool for so many.
    """
    config = config_of(read_run(run), run)
    load_plugin_files(config.plugins)
    if config.selection.selector == "follow" and not everything:
        logger.warning("rap: %s is one draw that stays as it is; +data.rap.follow=True draws anew for every batch", run)
    selected = run / files.SELECTED
    if not selected.is_file() or not (run / files.SCORES).is_file():
        raise RapError(f"{run}: the run is not finished (there is no {files.SELECTED}); `rap select` goes on with it")
    missing = [name for name in ("rap_id", *COUNTS) if name not in pq.read_schema(selected).names]
    if missing:
        raise RapError(f"{selected}: has no column {missing[0]}; `rap decide {run}` writes the file again")
    rows = pq.read_table(run / files.SCORES if everything else selected, columns=["rap_id", *COUNTS]).to_pylist()
    if not rows:
        raise RapError(f"{run}: the selection is empty, so there is nothing to train on; loosen it with `rap decide`")
    if len(rows) < at_least and not everything:
        rows = _filled_up(run, config, at_least)
    counts = {row["rap_id"]: (row[COUNTS[0]], row[COUNTS[1]] - row[COUNTS[0]]) for row in rows}
    return ChosenRows(run, config.pool, _pool_fingerprint(run), counts)


def _filled_up(run: Path, config: RunConfig, rows: int) -> list[dict[str, Any]]:
    """The selection decided again for so many rows, from the run's evidence; its files stay as they are."""
    wanted = config.selection.model_copy(update={"size_minimum": rows, "size_by": "fill"})
    if not (run / files.EVIDENCE).is_file():
        raise RapError(
            f"{run}: fewer rows are selected than the {rows} of a batch, and without {files.EVIDENCE} there are no next "
            "best; set +data.rap.size_by=repeat, or a smaller data.train_batch_size"
        )
    selection, store = load_selection(run, config.model_copy(update={"selection": wanted}))
    store.close()
    added = selection.decision.counts().get("filled_up", 0)
    logger.warning(
        "rap: the %d selected samples are filled up to %d with the next best; "
        "`rap decide %s --set selection.size_minimum=%d` writes it down",
        *(rows - added, rows, run, rows),
    )
    columns = pa.table(score_columns(selection)).filter(pa.array(selection.decision.chosen))
    found: list[dict[str, Any]] = columns.select(["rap_id", *COUNTS]).to_pylist()
    return found


def find_rows(files: Sequence[str], chosen: ChosenRows) -> MatchedRows:
    """The rows of these files whose samples are selected, each sample once.

    Rows are known by their column `rap_id` (exports of rap), else by their number where the file is the very pool that
    was selected from, else by their content, hashed as ingest hashes it. Raises RapError where none matches.
    """
    numbers: list[int] = []
    ids: list[str | None] = []
    seen: set[str] = set()
    for file in files:
        for identity in _ids_of(file, chosen):
            if identity is None or identity not in chosen.counts or identity in seen:
                ids.append(None)
                continue
            seen.add(identity)
            numbers.append(len(ids))
            ids.append(identity)
    if not numbers:
        raise RapError(
            f"{', '.join(files)}: none of {len(ids)} rows is one of the {len(chosen.counts)} selected in {chosen.run}; train "
            f"on the pool that it was selected from, or on what `rap export {chosen.run} --to verl` writes"
        )
    return MatchedRows(numbers, ids)


def _ids_of(file: str, chosen: ChosenRows) -> Iterator[str | None]:
    """The sample id of every row of a file; None for rows that are no sample, or surely not a selected one."""
    config = chosen.pool.model_copy(update={"path": file, "limit": None, "split": None})
    pool = open_pool(config)
    if "rap_id" in pool.columns:
        for rows in _chunks(len(pool)):
            yield from (row.get("rap_id") for row in pool.table(rows).select(["rap_id"]).to_pylist())
    elif pool.fingerprint() == chosen.fingerprint:
        table = pq.read_table(chosen.run / files.SCORES, columns=["rap_row", "rap_id"])
        known = dict(zip(table["rap_row"].to_pylist(), table["rap_id"].to_pylist(), strict=True))
        yield from (known.get(number) for number in range(len(pool)))
    else:
        yield from _hashed(pool, config)


def _hashed(pool: Pool, config: PoolConfig) -> Iterator[str | None]:
    named = [name for name in (config.question, config.answer, config.images) if name is not None]
    if any(name not in pool.columns for name in named):  # another layout of the same problems
        config = config.model_copy(update={"format": "auto", "question": None, "answer": None, "images": None})
    formats = get_plugins().registry().things["formats"]
    try:
        reader = choose_format(pool, config, formats)
    except RapError:
        if config.format == "auto":
            raise
        reader = choose_format(pool, config.model_copy(update={"format": "auto"}), formats)
    for rows in _chunks(len(pool)):
        for row in pool.rows(rows):
            try:
                raw = reader.raw(row)
                images = tuple(
                    image_bytes(image, reader.root, allow_urls=reader.allow_urls, confined=reader.confined)
                    for image in raw.images
                )
                yield sample_id(raw.question, raw.gold, images)
            except (RowProblem, ImageProblem):
                yield None  # such a row is in the run's quarantine, never in its selection


def _chunks(rows: int) -> Iterator[range]:
    for start in range(0, rows, CHUNK):
        yield range(start, min(start + CHUNK, rows))


def _pool_fingerprint(run: Path) -> str:
    if not (run / files.EVIDENCE).is_file():
        return ""  # a run copied without its evidence is still known by its ids
    with files.open_store(run) as store:
        return known_fingerprint(store)
