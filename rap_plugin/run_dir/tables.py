"""The tables of a run directory: scores, quarantine and the selected rows; and the cost ledger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.run_dir import arrow
from rap_plugin.run_dir.files import QUARANTINE, SCORES, SELECTED, replacing
from rap_plugin.samples.pool import Pool
from rap_plugin.samples.sample import Quarantined
from rap_plugin.selectors.base import Selection

CHUNK = 1024
"""Rows of `selected.parquet` in memory at a time, where the pool's schema is fixed."""


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


def row_columns(selection: Selection) -> dict[str, pa.Array]:
    """All columns of `scores.parquet`: each sample's row in the pool, and its `rap_*` columns."""
    return {"rap_row": arrow.integers(selection.table.rows), **score_columns(selection)}


def write_scores(run: Path, selection: Selection) -> None:
    """`scores.parquet`: one row per sample, in pool order, with its row in the pool."""
    with replacing(run / SCORES) as draft:
        pq.write_table(pa.table(row_columns(selection)), draft, compression="zstd")


def write_quarantine(run: Path, quarantine: Sequence[Quarantined]) -> None:
    """`quarantine.parquet`: every row that could not be used, with its status and reason."""
    with replacing(run / QUARANTINE) as draft:
        pq.write_table(pa.table(quarantine_columns(quarantine)), draft, compression="zstd")


def quarantine_columns(quarantine: Sequence[Quarantined]) -> dict[str, pa.Array]:
    """The columns of `quarantine.parquet`."""
    return {
        "rap_row": arrow.integers([item.row for item in quarantine]),
        "rap_id": arrow.texts([item.id for item in quarantine]),
        "rap_status": arrow.texts([item.status for item in quarantine]),
        "rap_reason": arrow.texts([item.reason for item in quarantine]),
    }


def write_selected(run: Path, selection: Selection, pool: Pool) -> None:
    """`selected.parquet`: the chosen rows with their original columns, in pool order, and the `rap_*` columns."""
    chosen = selection.decision.chosen
    extra = pa.table(score_columns(selection)).filter(arrow.booleans(chosen))
    rows = selection.table.rows[chosen].tolist()
    # Text containers have no schema of their own: one guess over all rows, not one per chunk.
    size = CHUNK if pool.kind in ("parquet", "arrow", "datasets", "hub", "images", "tar") else max(1, len(rows))
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
