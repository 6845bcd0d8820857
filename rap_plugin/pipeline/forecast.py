"""What another full run of the same model on the same pool would select: Beta posteriors, not only the counts at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from rap_plugin.evidence.rollouts import read_rollouts
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.table import Numbers
from rap_plugin.plugins import get_plugins
from rap_plugin.posterior.completion import first_rollouts
from rap_plugin.posterior.outlook import look_ahead
from rap_plugin.posterior.rule import Rule
from rap_plugin.selectors.base import Selection

FIRM = 0.9
"""A sample that at least this share of the runs would select is firmly in."""


@dataclass(frozen=True)
class Forecast:
    """How the selection of another full run would compare with this one."""

    runs: int
    """Full runs that were drawn from the posterior."""
    agreement: float
    """Mean Jaccard index of their selections with the run's own."""
    agreement_interval: tuple[float, float]
    """Its 2.5 % and 97.5 % quantiles."""
    size_interval: tuple[float, float]
    """The same quantiles of the number of selected samples."""
    firm: int
    """Samples of the run's selection that at least 90 % of them select."""
    open: int
    """Samples, selected or not, that 10 % to 90 % of them select."""
    success: dict[str, float]
    """Mean posterior success of the selected samples, by arm."""
    discrepancy: Numbers = field(repr=False)
    """(N,) posterior mean of D, also where the count alone gives none; NaN for a sample without an image."""

    def as_json(self) -> dict[str, Any]:
        """As plain objects, without the per-sample numbers."""
        return {name: value for name, value in asdict(self).items() if name != "discrepancy"}


def forecast(
    store: EvidenceStore,
    selection: Selection,
    draws: int,
    seed: int = 0,
    on_draw: Callable[[int], None] | None = None,
) -> Forecast:
    """Draws full runs from the posterior that the selection's own rollouts give, and decides each. Cost: a decision a run.

    Unlike resampling it knows that five right of five need not be so again, and it needs no full run to begin with.
    """
    table = selection.table
    columns = [name for name, _ in table.statistics]
    stored = {arm: read_rollouts(store, table, arm, columns if arm == "image" else []) for arm in table.arms}
    rollouts = first_rollouts(stored, {arm: counts.stored for arm, counts in table.arms.items()})
    rule = Rule.of(selection.config, get_plugins().registry())
    own = selection.decision.chosen
    seen = look_ahead(table, rollouts, rule, draws, seed, fresh=True, own=own, on_draw=on_draw)
    success = {arm: seen.posterior.mean(i) for i, arm in enumerate(rollouts)}
    pictured = table.images > 0
    low, high = np.quantile(seen.agreements, [0.025, 0.975]).tolist()
    least, most = np.quantile(seen.sizes, [0.025, 0.975]).tolist()
    return Forecast(
        draws,
        float(seen.agreements.mean()),
        (low, high),
        (least, most),
        int((seen.probability[own] >= FIRM).sum()),
        int(((seen.probability > 1 - FIRM) & (seen.probability < FIRM)).sum()),
        {arm: float(values[own].mean()) if own.any() else 0.0 for arm, values in success.items()},
        np.where(pictured, success["image"] - success["blind"], np.nan),
    )
