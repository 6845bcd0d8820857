"""A score and a selector for rap-plugin: how much do a model's own answers agree?

Samples on which the rollouts disagree are the uncertain ones, and no gold answer is needed to find them.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np

from rap_plugin import Decision, RunConfig, hookimpl
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.table import EvidenceTable
from rap_plugin.selectors.base import blank_verdicts, budget, place


def self_consistency(table: EvidenceTable, config: RunConfig) -> Any:
    """Share of the most common answer among a sample's image rollouts, in (0, 1], shape (N,); NaN without answers."""
    with closing(EvidenceStore(table.path, read_only=True)) as store:
        found = store.rows(
            "SELECT sample, extracted, count(*) FROM rollouts JOIN responses USING (sample, probe, rollout) "
            "WHERE probe = ? AND rollout < ? AND status = 'ok' GROUP BY sample, extracted",
            (table.probes["image"], table.rollouts),
        )
    most: dict[int, int] = {}
    total: dict[int, int] = {}
    for sample, _, count in found:
        most[sample] = max(most.get(sample, 0), count)
        total[sample] = total.get(sample, 0) + count
    return np.array([most[sample] / total[sample] if sample in total else np.nan for sample in table.sample.tolist()])


def select_uncertain(table: EvidenceTable, scores: Any, config: RunConfig) -> Decision:
    """The samples whose rollouts agree least; a tenth of the pool unless --keep says otherwise."""
    agreement = scores["self_consistency"]
    verdicts, reasons = blank_verdicts(table)
    known = (table.images > 0) & ~np.isnan(agreement)
    taken = place(known, agreement, table.ids)[: budget(config.selection.keep, table, default=0.1)]
    verdicts[taken] = "selected"
    for i in np.flatnonzero(known):
        reasons[i] = f"{agreement[i]:.0%} of the answers agree"
    return Decision(verdicts, reasons)


@hookimpl
def rap_register_scorers(register: Any) -> None:
    register("self_consistency", self_consistency)


@hookimpl
def rap_register_selectors(register: Any) -> None:
    register("uncertain", select_uncertain)
