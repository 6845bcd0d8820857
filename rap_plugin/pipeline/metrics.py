"""What a selection says of the pool and of itself, as the numbers that a training's own tracker logs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rap_plugin.pipeline.compare import resample
from rap_plugin.pipeline.selection import load_selection
from rap_plugin.run_dir import files
from rap_plugin.selectors.base import Selection
from rap_plugin.selectors.curtailed import stopped

STABILITY_DRAWS = 20
"""Selections over rollouts that are drawn again: enough for two digits, and each takes as long as `rap decide`."""


def metrics_of_run(run: Path) -> dict[str, float]:
    """The metrics of a finished run. Raises RapError where it has no evidence or is not finished."""
    selection, store = load_selection(run)
    store.close()
    return selection_metrics(selection, run)


def selection_metrics(
    selection: Selection, run: Path, seconds: float | None = None, before: Sequence[int] | None = None
) -> dict[str, float]:
    """Metrics by the names that docs/training_metrics.md explains.

    `seconds` is what the selection took, by default the sum over its stages in the ledger; `before` has the row numbers
    of the selection before this one. Where sampling stopped early for some samples, the numbers that would need all
    rollouts are left out.
    """
    chosen, table = selection.decision.chosen, selection.table
    image, blind = selection.scores["acc_image"], selection.scores["acc_blind"]
    informative = (image > 0) & (image < 1)
    cost = json.loads((run / files.COST).read_text(encoding="utf-8"))["total"]
    samples = len(table)
    numbers = {
        "rap/selected": float(chosen.sum()),
        "rap/share": float(chosen.mean()) if samples else 0.0,
        "rap/selection_seconds": float(cost["seconds"] if seconds is None else seconds),
        "rap/selection_rollouts": float(cost["rollouts"]),
        "rap/selection_tokens": float(cost["response_tokens"]),
    }
    numbers |= {f"rap/verdict/{name}": count / samples for name, count in selection.decision.counts().items()}
    if not np.isnan(image[table.images > 0]).any():
        numbers["rap/informative_pool"] = float(informative.mean()) if samples else 0.0
        numbers["rap/accuracy_image"] = float(np.nanmean(image)) if samples else 0.0
    if not np.isnan(blind[table.images > 0]).any():
        numbers["rap/accuracy_blind"] = float(np.nanmean(blind)) if samples else 0.0
    if chosen.any() and not np.isnan(image[chosen]).any():
        numbers["rap/informative"] = float(informative[chosen].mean())
    if chosen.any() and not stopped(table).any():
        with files.open_store(run) as store:
            numbers["rap/stability"] = resample(store, selection, STABILITY_DRAWS).agreement
    if chosen.any() and before is not None:
        numbers["rap/stayed"] = float(np.isin(table.rows[chosen], np.array(before)).mean())
    return numbers
