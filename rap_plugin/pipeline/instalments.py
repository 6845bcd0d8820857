"""Scoring by instalments: reads what is stored, says what is to be sampled next, and decides from part of the rollouts."""

from __future__ import annotations

from collections.abc import Mapping

from rap_plugin.config import RunConfig
from rap_plugin.evidence.rollouts import RolloutColumns, read_rollouts
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.table import Counts, EvidenceTable, Numbers, read_table
from rap_plugin.pipeline.probing import Goals
from rap_plugin.pipeline.statistics import statistics_of
from rap_plugin.plugins import Registry
from rap_plugin.posterior.completion import Rollouts
from rap_plugin.posterior.decision import decide_from_part
from rap_plugin.posterior.instalments import Step, follow_instalments, stored_step
from rap_plugin.posterior.rule import Rule
from rap_plugin.rollout import Arm
from rap_plugin.selectors.base import Decision
from rap_plugin.selectors.stopping import reads_blind


class Instalments:
    """Which rollouts each instalment asks for. Those that are behind are not gone through again."""

    def __init__(self, store: EvidenceStore, config: RunConfig, probes: Mapping[Arm, int], registry: Registry) -> None:
        self._evidence = store, config, probes, registry
        self._last: Step | None = None

    def find_next(self) -> tuple[Goals, Goals]:
        """By arm and number of a sample: the rollouts that the instalment at hand (or the last one) brings it to, and how
        many of them this instalment asks for.
        """
        # Behind the last instalment only rollouts that had failed can be new: with them all are gone through again.
        start = self._last if self._last is not None and self._last.wanted else None
        self._last = step = _follow(*self._evidence, start=start)[0]
        further = {arm: goal - step.before[arm] for arm, goal in step.goals.items()}
        return _by_number(step, step.goals), _by_number(step, further if step.wanted else step.goals)


def _by_number(step: Step, rollouts: Mapping[Arm, Counts]) -> Goals:
    numbers = step.table.sample.tolist()
    return {
        arm: {number: some for number, some in zip(numbers, values.tolist(), strict=True) if some}
        for arm, values in rollouts.items()
    }


def decide(
    store: EvidenceStore, config: RunConfig, probes: Mapping[Arm, int], registry: Registry
) -> tuple[EvidenceTable, Decision, dict[str, Numbers]]:
    """The decision over the rollouts that the instalments asked for.

    Where this configuration would have asked for others, everything that is stored is used, and a note says so.
    """
    step, rollouts, table, budget = _follow(store, config, probes, registry)
    elsewhere = step.wanted
    if elsewhere:
        step = stored_step(table, rollouts)
    decision, scores = decide_from_part(step, Rule.of(config, registry), budget)
    if elsewhere:
        decision.notes.append(
            "decided over rollouts that another configuration asked for; `rap select` with this one samples where its own "
            "verdicts are open"
        )
    return step.table, decision, scores


def read_partial(
    store: EvidenceStore, config: RunConfig, probes: Mapping[Arm, int]
) -> tuple[EvidenceTable, dict[Arm, RolloutColumns]]:
    """All samples, also those without a grade, and their rollouts one by one."""
    statistics = statistics_of(config)
    table = read_table(store, probes, config.sampling.rollouts, statistics, partial=True)
    columns = [name for name, _ in statistics]
    return table, {arm: read_rollouts(store, table, arm, columns if arm == "image" else []) for arm in table.arms}


def _follow(
    store: EvidenceStore,
    config: RunConfig,
    probes: Mapping[Arm, int],
    registry: Registry,
    start: Step | None = None,
) -> tuple[Step, Rollouts, EvidenceTable, int]:
    table, rollouts = read_partial(store, config, probes)
    whole = int((table.images > 0).sum()) * table.rollouts * len(probes)
    budget = config.sampling.rollouts_of_budget(whole) or whole
    arms = [arm for arm in rollouts if arm != "blind" or reads_blind(config)]
    step = follow_instalments(table, rollouts, Rule.of(config, registry), budget, arms, start)
    return step, rollouts, table, budget
