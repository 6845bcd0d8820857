"""How firm the selection is: how probable each sample's place in it is, and how many are open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from rap_plugin.evidence.rollouts import read_rollouts
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.table import Numbers
from rap_plugin.plugins import get_plugins
from rap_plugin.posterior.completion import first_rollouts
from rap_plugin.posterior.outlook import look_ahead
from rap_plugin.posterior.rule import Rule
from rap_plugin.selectors.base import Selection

DRAWS = 100
MOST_SAMPLES = 10_000
"""Of a larger pool those are drawn for whose ids come first; ids are hashes."""
FIRM = 0.9
"""A sample that at least this share of the runs would select is firmly in; below the rest of it, firmly out."""


@dataclass(frozen=True)
class Certainty:
    """The probability of being selected, and what it adds up to."""

    chance: Numbers = field(repr=False)
    """(N,) by another full run, or by the full run where this one is only part of it; NaN where not looked at."""
    looked_at: int
    """Samples that the counts below are of."""
    of_full_run: bool
    """The run sampled a part of the rollouts: `chance` is that of being selected by the run with all of them."""
    firm_in: int
    """Selected samples that are firmly in."""
    firm_out: int
    open: int
    surprising: int
    """Samples for which the other verdict is the more probable one."""
    agreement: tuple[float, float, float] | None
    """Jaccard index of another full run's selection with this one: mean, 5 % and 95 % quantiles."""


def measure_certainty(store: EvidenceStore, selection: Selection, shown: Sequence[int] = ()) -> Certainty | None:
    """The probabilities for the pool, or for a part of it and the samples `shown`; None without a sample with an image.

    Full runs are drawn from the Beta posteriors of all samples and decided (docs/method.md). Cost: `DRAWS` decisions
    over at most `MOST_SAMPLES` samples.
    """
    table = selection.table
    pictured = table.images > 0
    if not pictured.any():
        return None
    known = selection.scores.get("probability")
    if known is not None:
        return _counted(selection, known, np.flatnonzero(pictured), of_full_run=True, agreement=None)
    first = np.argsort(table.ids, kind="stable")[:MOST_SAMPLES]
    here = np.zeros(len(table), dtype=bool)
    here[first] = True
    chance, agreements = _another_run(store, selection, here)
    rest = np.array([i for i in shown if not here[i]], dtype=np.int64)
    if len(rest):
        here[rest] = True
        chance[rest] = _another_run(store, selection, here)[0][rest]
    chance[~pictured] = np.nan
    low, high = np.quantile(agreements, [0.05, 0.95]).tolist()
    mean = float(agreements.mean())
    return _counted(selection, chance, first[pictured[first]], of_full_run=False, agreement=(mean, low, high))


def _another_run(store: EvidenceStore, selection: Selection, here: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """(N,) the chance of each sample `here` in another full run over these samples, and each run's agreement."""
    part = selection.table.only(here)
    columns = [name for name, _ in part.statistics]
    stored = {arm: read_rollouts(store, part, arm, columns if arm == "image" else []) for arm in part.arms}
    rollouts = first_rollouts(stored, {arm: counts.stored for arm, counts in part.arms.items()})
    rule = Rule.of(selection.config, get_plugins().registry())
    # A number of rows is one of the whole pool; of a part of it the verdicts alone are asked for.
    options = rule.config.selection.model_copy(update={"size_multiple": 1, "size_minimum": 0})
    rule = replace(rule, config=rule.config.model_copy(update={"selection": options}))
    own = selection.decision.chosen[here]
    seen = look_ahead(part, rollouts, rule, DRAWS, 0, fresh=True, own=own)
    chance = np.full(len(selection.table), np.nan)
    chance[here] = seen.probability
    return chance, seen.agreements


def _counted(
    selection: Selection,
    chance: Numbers,
    among: NDArray[np.int64],
    *,
    of_full_run: bool,
    agreement: tuple[float, float, float] | None,
) -> Certainty:
    chosen, values = selection.decision.chosen[among], chance[among]
    return Certainty(
        chance,
        len(among),
        of_full_run,
        int((chosen & (values >= FIRM)).sum()),
        int((~chosen & (values <= 1 - FIRM)).sum()),
        int(((values > 1 - FIRM) & (values < FIRM)).sum()),
        int((np.where(chosen, values, 1 - values) < 0.5).sum()),
        agreement,
    )
