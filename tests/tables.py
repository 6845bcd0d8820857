"""Evidence tables made by hand, for tests of scorers and selectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rap_plugin.config import RunConfig, load_config
from rap_plugin.evidence.table import REDUCE, ArmCounts, EvidenceTable
from rap_plugin.evidence.variants import STATISTIC_COLUMNS
from rap_plugin.scorers import BUILTIN_SCORERS


def arm(right: Sequence[int], rollouts: int, exact: Sequence[int] | None = None) -> ArmCounts:
    counts = np.array(right, dtype=np.int64)
    full = np.full(len(counts), rollouts, dtype=np.int64)
    ones = np.array(exact if exact is not None else right, dtype=np.int64)
    none = np.zeros(len(counts), dtype=np.int64)
    return ArmCounts(full, full, full, counts, ones, counts, full * 10, none, none)


def make_table(
    image: Sequence[int],
    blind: Sequence[int],
    log_psi: Sequence[float] | None = None,
    *,
    rollouts: int = 5,
    ids: Sequence[str] | None = None,
    images: Sequence[int] | None = None,
    exact_image: Sequence[int] | None = None,
    exact_blind: Sequence[int] | None = None,
) -> EvidenceTable:
    """`image` and `blind` are right answers out of `rollouts`, per sample; every attention statistic is `log_psi`."""
    n = len(image)
    psi = np.array(log_psi if log_psi is not None else [-20.0] * n, dtype=float)
    return EvidenceTable(
        sample=np.arange(n),
        ids=np.array(ids if ids is not None else [f"{i:032x}" for i in range(n)], dtype=object),
        rows=np.arange(n),
        images=np.array(images if images is not None else [1] * n),
        rollouts=rollouts,
        arms={"image": arm(image, rollouts, exact_image), "blind": arm(blind, rollouts, exact_blind)},
        failed=[],
        incomplete=0,
        pending=0,
        probes={"image": 1, "blind": 2},
        path=Path("evidence.sqlite"),
        statistics={(column, over): psi for column in STATISTIC_COLUMNS for over in REDUCE},
    )


def scores_of(table: EvidenceTable, config: RunConfig | None = None) -> dict[str, Any]:
    return {name: scorer(table, config or load_config()) for name, scorer in BUILTIN_SCORERS.items()}


def graded(table: EvidenceTable, *, image: Sequence[int], blind: Sequence[int]) -> EvidenceTable:
    """The table with so many graded rollouts per sample; the others were answered, but could not be graded."""
    numbers = {"image": np.array(image), "blind": np.array(blind)}
    return replace(table, arms={name: replace(counts, graded=numbers[name]) for name, counts in table.arms.items()})
