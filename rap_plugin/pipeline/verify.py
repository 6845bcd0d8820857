"""Does a run directory hold what its evidence says?"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from os import PathLike
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rap_plugin.config import PoolConfig
from rap_plugin.errors import RapError, one_line
from rap_plugin.evidence.damage import require_whole
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.pipeline.selection import load_selection
from rap_plugin.plugins import get_plugins
from rap_plugin.report import shown_digest
from rap_plugin.run_dir import arrow, files, tables
from rap_plugin.run_dir.about import read_run
from rap_plugin.run_dir.pool import missing_pool, open_pool_of, pool_places
from rap_plugin.samples.ingest import load_samples
from rap_plugin.samples.opening import open_pool
from rap_plugin.selectors.base import CHOSEN, Selection


def verify_run(run: str | PathLike[str], pool: str | None = None) -> list[str]:
    """Returns one line per passed check; raises RapError naming the first difference.

    `pool` says where the pool is now. One that is found must be the one that was probed; without one the content of the
    selected rows is checked alone, which needs no pool where they hold their images.
    """
    run = Path(run)
    read_run(run)
    with files.open_store(run) as store:
        require_whole(store)
    selection, store = load_selection(run)
    with closing(store):
        rows, _, _ = store.pool_counts()
        root = _root(run, store, pool)
    scores = _read(run / files.SCORES)
    quarantine = _read(run / files.QUARANTINE)
    if len(scores) + len(quarantine) != rows:
        raise RapError(f"{run}: {len(scores)} scored + {len(quarantine)} quarantined rows are not the pool's {rows}")
    _require_columns(run / files.SCORES, scores, tables.row_columns(selection))
    _require_columns(run / files.QUARANTINE, quarantine, tables.quarantine_columns(selection.quarantine))
    selected = _read(run / files.SELECTED)
    if "rap_id" not in selected.column_names:
        raise RapError(f"{run / files.SELECTED}: column rap_id is missing; run `rap decide {run}`")
    chosen = scores.filter(pc.is_in(scores["rap_verdict"], pa.array(CHOSEN)))
    if selected["rap_id"].to_pylist() != chosen["rap_id"].to_pylist():
        raise RapError(f"{run / files.SELECTED}: its rows are not the chosen ones; run `rap decide {run}`")
    told = pa.table(tables.score_columns(selection)).filter(arrow.booleans(selection.decision.chosen))
    columns = {name: told[name].combine_chunks() for name in told.column_names if name in selected.column_names}
    _require_columns(run / files.SELECTED, selected, columns)
    _check_content(run, selection.config.pool, selected["rap_id"].to_pylist(), root)
    _check_shown(run, selection)
    return [
        f"{rows} rows of the pool = {len(scores)} scored + {len(quarantine)} quarantined, each with its reason",
        f"{len(scores)} verdicts and all scores follow from the evidence",
        f"{len(selected)} selected rows hold the content that was probed",
        _what_is_shown(run),
    ]


def _require_columns(path: Path, table: pa.Table, derived: Mapping[str, pa.Array]) -> None:
    """Raises RapError naming the first value of the table that is not the derived one."""
    for name, values in derived.items():
        if name not in table.column_names:
            raise RapError(f"{path}: column {name} is missing; run `rap decide {path.parent}`")
        written = table.column(name).combine_chunks()
        if not written.equals(values):
            at = _first_difference(written, values)
            raise RapError(
                f"{path}: {name} of row {at} does not follow from the evidence; run `rap decide {path.parent}`"
            )


def _check_shown(run: Path, selection: Selection) -> None:
    """The report and the card are those of this decision. A card that somebody wrote anew is theirs."""
    digest = selection.digest()
    report, card = run / files.REPORT, run / files.CARD
    stale = [path for path in (report,) if path.exists() and shown_digest(path) != digest]
    stale += [path for path in (card,) if path.exists() and shown_digest(path) not in (digest, None)]
    if stale:
        raise RapError(f"{stale[0]}: shows another decision than the one in force; run `rap report {run}`")


def _what_is_shown(run: Path) -> str:
    """The line on the report and the card that are there; both may be missing."""
    there = [word for word, name in (("report", files.REPORT), ("card", files.CARD)) if (run / name).exists()]
    gone = [name for name in (files.REPORT, files.CARD) if not (run / name).exists()]
    said = (
        f"what the {' and the '.join(there)} {'show' if len(there) > 1 else 'shows'} is what was decided"
        if there
        else ""
    )
    missing = f"there is no {' and no '.join(gone)} (`rap report {run}` writes both)" if gone else ""
    return "; ".join(part for part in (said, missing) if part)


def _root(run: Path, store: EvidenceStore, pool: str | None) -> Path | None:
    """The folder of the pool's images; None where the pool is gone."""
    about = read_run(run)
    if pool is None and not list(pool_places(run, about)):
        return None
    return open_pool_of(run, about, store, get_plugins().registry().things["formats"], pool).root


def _check_content(run: Path, config: PoolConfig, ids: list[str], root: Path | None) -> None:
    """Reads the selected rows as a pool of their own: the same questions, gold answers and image bytes give the same ids."""
    if not ids:
        return
    there = config.model_copy(
        update={"path": str(run / files.SELECTED), "limit": None, "split": None, "image_root": str(root or run)}
    )
    formats = get_plugins().registry().things["formats"]
    pool = open_pool(there)
    for start in range(0, len(ids), tables.CHUNK):
        numbers = list(range(start, min(start + tables.CHUNK, len(ids))))
        try:
            loaded = load_samples(pool, there, numbers, formats)
        except RapError as error:
            raise error if root is not None else RapError(error, "; ", missing_pool(run, read_run(run))) from None
        for number, sample in zip(numbers, loaded, strict=True):
            if sample.id != ids[number]:
                raise RapError(
                    f"{run / files.SELECTED}: the content of row {number} is not what was probed ({ids[number]})"
                )


def _read(path: Path) -> pa.Table:
    if not path.exists():
        raise RapError(f"{path}: the file is missing; run `rap decide {path.parent}`")
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise RapError(f"{path}: cannot be read ({one_line(error)}); run `rap decide {path.parent}`") from None


def _first_difference(one: pa.Array, other: pa.Array) -> int:
    if len(one) != len(other):
        return min(len(one), len(other))
    return next(i for i in range(len(one)) if one[i] != other[i])
