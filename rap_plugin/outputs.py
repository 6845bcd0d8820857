"""The files of a run directory. Each is written beside its place and moved there, so none is ever half a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rap_plugin import arrow
from rap_plugin.errors import RapError
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.samples.pool import Pool
from rap_plugin.samples.sample import Quarantined
from rap_plugin.selectors.base import Selection

LOCK = ".lock"
RUN = "run.json"
EVIDENCE = "evidence.sqlite"
SCORES = "scores.parquet"
SELECTED = "selected.parquet"
QUARANTINE = "quarantine.parquet"
REPORT = "report.html"
CARD = "README.md"
COST = "cost.json"

CHUNK = 1024
"""Rows of `selected.parquet` in memory at a time, where the pool's schema is fixed."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a path to write to; moves it to `path` when the block ends well, removes it otherwise."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        yield draft
        os.replace(draft, path)
    except OSError as error:
        raise RapError(
            f"{path}: cannot write ({error.strerror or error}); evidence is kept, run the command again"
        ) from None
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Keeps other rap processes out of a run directory while the block runs; the lock ends with the process."""
    try:
        import fcntl
    except ImportError:  # not on Windows, where SQLite's own locks still keep rows whole
        yield
        return
    with (run / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RapError(f"{run}: another rap process is working here; wait for it or stop it") from None
        except OSError:
            pass  # a file system without locks
        yield


def open_store(run: Path) -> closing[EvidenceStore]:
    """The evidence of a run, for a `with` statement."""
    return closing(EvidenceStore(run / EVIDENCE))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes readable JSON."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def score_columns(selection: Selection) -> dict[str, pa.Array]:
    """The `rap_*` columns of `scores.parquet`, one entry per sample of the table."""
    table, scores, decision = selection.table, selection.scores, selection.decision
    columns: dict[str, pa.Array] = {"rap_id": arrow.texts(table.ids.tolist())}
    for name, values in scores.items():
        columns[f"rap_{name}"] = arrow.floats(values)
    # psi itself for people; its logarithm, which cannot overflow, stays the number that is compared.
    psi = np.exp(np.minimum(scores["log_psi"], 700.0))
    columns["rap_psi"] = arrow.floats(psi)
    for arm, counts in table.arms.items():
        columns[f"rap_rollouts_{arm}"] = arrow.integers(np.minimum(counts.stored, table.rollouts))
        columns[f"rap_right_{arm}"] = arrow.integers(counts.right)
    columns["rap_verdict"] = arrow.texts(decision.verdicts.tolist())
    columns["rap_reason"] = arrow.texts(decision.reasons)
    return columns


def write_scores(run: Path, selection: Selection) -> None:
    """`scores.parquet`: one row per sample, in pool order, with its row in the pool."""
    columns = {"rap_row": arrow.integers(selection.table.rows), **score_columns(selection)}
    with replacing(run / SCORES) as draft:
        pq.write_table(pa.table(columns), draft, compression="zstd")


def write_quarantine(run: Path, quarantine: Sequence[Quarantined]) -> None:
    """`quarantine.parquet`: every row that could not be used, with its status and reason."""
    table = pa.table(
        {
            "rap_row": arrow.integers([item.row for item in quarantine]),
            "rap_id": arrow.texts([item.id for item in quarantine]),
            "rap_status": arrow.texts([item.status for item in quarantine]),
            "rap_reason": arrow.texts([item.reason for item in quarantine]),
        }
    )
    with replacing(run / QUARANTINE) as draft:
        pq.write_table(table, draft, compression="zstd")


def write_selected(run: Path, selection: Selection, pool: Pool) -> None:
    """`selected.parquet`: the chosen rows with their original columns, in pool order, and the `rap_*` columns."""
    chosen = selection.decision.chosen
    extra = pa.table(score_columns(selection)).filter(arrow.booleans(chosen))
    rows = selection.table.rows[chosen].tolist()
    # Text containers have no schema of their own: one guess over all rows, not one per chunk.
    size = CHUNK if pool.kind in ("parquet", "arrow", "datasets", "hub") else max(1, len(rows))
    with replacing(run / SELECTED) as draft:
        writer: pq.ParquetWriter | None = None
        try:
            for start in range(0, max(1, len(rows)), size):
                table = pool.table(rows[start : start + size])
                for name in extra.column_names:
                    if name in table.column_names:
                        table = table.drop_columns([name])
                    table = table.append_column(name, extra.column(name).slice(start, size))
                table = table.combine_chunks()
                if writer is None:
                    writer = pq.ParquetWriter(draft, table.schema, compression="zstd")
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()


def cost_of(store: EvidenceStore) -> dict[str, Any]:
    """The cost ledger: what each stage took over all sessions of this run."""
    stages = {
        stage: {
            "seconds": round(seconds, 3),
            "rollouts": rollouts,
            "prompt_tokens": prompt_tokens,
            "response_tokens": response_tokens,
        }
        for stage, seconds, rollouts, prompt_tokens, response_tokens in store.ledger()
    }
    sampled = [entry for stage, entry in stages.items() if stage.startswith("sample ")]
    return {
        "stages": stages,
        "total": {
            "seconds": round(sum(entry["seconds"] for entry in stages.values()), 3),
            "rollouts": sum(entry["rollouts"] for entry in sampled),
            "prompt_tokens": sum(entry["prompt_tokens"] for entry in sampled),
            "response_tokens": sum(entry["response_tokens"] for entry in sampled),
        },
    }
