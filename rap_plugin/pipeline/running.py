"""Running verdicts: what the samples that are done by now would be called, while others are still sampled."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rap_plugin.config import RunConfig
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.table import read_table
from rap_plugin.pipeline.curtailment import active_stopping_rule
from rap_plugin.pipeline.statistics import statistics_of
from rap_plugin.plugins import get_plugins
from rap_plugin.report.words import verdict_word
from rap_plugin.rollout import Arm
from rap_plugin.selectors.curtailed import compute_scores, decide, stopped

WAIT_SECONDS = 2.0
"""At least so long between two counts."""
COST_SHARE = 0.05
"""At most this share of the time is spent on counting: over a large pool counts come less often."""


class RunningVerdicts:
    """One line with the verdicts so far; `update` counts again when it is time to."""

    def __init__(self, store: EvidenceStore, config: RunConfig, probes: Mapping[Arm, int]) -> None:
        self._evidence = store, config, probes
        self._next = time.monotonic() + WAIT_SECONDS
        self._line = ""

    def line(self) -> str:
        """What was counted last; empty while no sample is done."""
        return self._line

    def update(self) -> None:
        """Counts, unless that was done a moment ago. What cannot be decided yet is not shown: this never stops a run."""
        started = time.monotonic()
        if started < self._next:
            return
        try:
            self._line = verdicts_so_far(*self._evidence)
        except Exception:  # a selector, of a plugin perhaps, may need more samples than are done
            self._line = ""
        now = time.monotonic()
        self._next = now + max(WAIT_SECONDS, (now - started) / COST_SHARE)


def verdicts_so_far(store: EvidenceStore, config: RunConfig, probes: Mapping[Arm, int]) -> str:
    """`of 120 samples done: 31 Selected, 60 Language prior, ..`: the selector over those samples alone; empty where there are none.

    A sample is done that has all its rollouts, or whose sampling has stopped because its verdict is settled.
    """
    registry = get_plugins().registry()
    scorers, name = registry.things["scorers"], config.selection.selector
    table = read_table(store, probes, config.sampling.rollouts, statistics_of(config))
    done = ~stopped(table)
    if rule := active_stopping_rule(config):
        done |= rule.settled(table, compute_scores(table, config, scorers), config)
    part = table.only(done & (table.images > 0))
    if not len(part):
        return ""
    whole = config.model_copy(
        update={"selection": config.selection.model_copy(update={"size_multiple": 1, "size_minimum": 0})}
    )
    counts = decide(part, whole, scorers, registry.get("selectors", name))[0].counts()
    said = ", ".join(f"{number:,} {verdict_word(word, name).title.lower()}" for word, number in counts.items())
    return f"of {len(part):,} samples done: {said}"
