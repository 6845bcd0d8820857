"""What a pool is made of, as numbers and short texts per sample: for counts by source, length and kind of answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rap_plugin.evidence.damage import names_damage
from rap_plugin.evidence.database import Database
from rap_plugin.evidence.table import Counts, EvidenceTable

GOLD = 40
"""Characters of a gold answer: enough to tell its kind."""


@dataclass(frozen=True)
class PoolTexts:
    """One entry per sample of a table."""

    source: NDArray[np.object_]
    gold: NDArray[np.object_]
    """Its first characters."""
    length: Counts
    """Characters of the question."""
    pixels: Counts
    """Of all its images together."""


@names_damage
def read_texts(store: Database, table: EvidenceTable) -> PoolTexts:
    """One scan over the pool's samples."""
    rows = store.query(
        "SELECT sample, source, substr(gold, 1, ?), length(question), pixels FROM samples ORDER BY sample", (GOLD,)
    ).fetchall()
    numbers = np.array([row[0] for row in rows], dtype=np.int64)
    at = np.searchsorted(numbers, table.sample)
    texts = [np.array([str(row[i]) for row in rows], dtype=object)[at] for i in (1, 2)]
    counts = [np.array([int(row[i] or 0) for row in rows], dtype=np.int64)[at] for i in (3, 4)]
    return PoolTexts(texts[0], texts[1], counts[0], counts[1])


def last_worked(store: Database) -> str:
    """When the last step of the run began, ISO 8601 in UTC; empty where nothing was done yet."""
    found = store.rows("SELECT max(started) FROM ledger")
    return str(found[0][0] or "")
