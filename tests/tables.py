"""Evidence tables made by hand, for tests of scorers and selectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from rap_plugin.config import RunConfig, load_config
from rap_plugin.evidence.table import ArmCounts, EvidenceTable
from rap_plugin.scorers import BUILTIN_SCORERS


class Statistics:
    """Stands where the store would be: statistics are given, not read."""

    def __init__(self, log_psi: Sequence[float]) -> None:
        self.log_psi = np.array(log_psi, dtype=float)


class HandMade(EvidenceTable):
    """A table whose attention statistics are all the given log psi."""

    def statistic(self, column: str, over: str = "max") -> Any:
        return cast(Statistics, self.store).log_psi


def arm(right: Sequence[int], rollouts: int, exact: Sequence[int] | None = None) -> ArmCounts:
    counts = np.array(right, dtype=np.int64)
    full = np.full(len(counts), rollouts, dtype=np.int64)
    ones = np.array(exact if exact is not None else right, dtype=np.int64)
    return ArmCounts(full, full, full, counts, ones, counts, full * 10)


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
    """`image` and `blind` are right answers out of `rollouts`, per sample."""
    n = len(image)
    return HandMade(
        sample=np.arange(n),
        ids=np.array(ids if ids is not None else [f"{i:032x}" for i in range(n)], dtype=object),
        rows=np.arange(n),
        images=np.array(images if images is not None else [1] * n),
        rollouts=rollouts,
        arms={"image": arm(image, rollouts, exact_image), "blind": arm(blind, rollouts, exact_blind)},
        failed=[],
        incomplete=0,
        pending=0,
        store=cast(Any, Statistics(log_psi if log_psi is not None else [-20.0] * n)),
        probes={"image": 1, "blind": 2},
    )


def scores_of(table: EvidenceTable, config: RunConfig | None = None) -> dict[str, Any]:
    return {name: scorer(table, config or load_config()) for name, scorer in BUILTIN_SCORERS.items()}
