"""Scoring by instalments: a cheap first look, then rollouts where the verdict is open, until a budget is spent.

What is sampled next follows from the rollouts that the instalments before it asked for, and from nothing else. So it is
found by going through them again: a run that was killed, one with other workers, and one that holds more evidence than
its budget asks for end with the same selection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rap_plugin.evidence.rollouts import RolloutColumns
from rap_plugin.evidence.table import Counts, EvidenceTable, Numbers
from rap_plugin.posterior.completion import Rollouts, counted, first_rollouts
from rap_plugin.posterior.outlook import Outlook, look_ahead
from rap_plugin.posterior.rule import Rule
from rap_plugin.rollout import Arm
from rap_plugin.selectors.base import draw

PILOT = 0.05
"""Share of the budget that samples a random few to the end, in all arms: what the pool's prior is learned from."""

FIRST_LOOK = 0.5
"""Most of the budget that the first look takes; a pool too large for it is looked at in part, drawn at random."""

INSTALMENTS = 20
"""The budget is spent in so many parts, less the looks: each is placed by what those before it have shown."""

OPEN = 0.05
"""A verdict is open while the probability of being selected is at least this far from 0 and from 1."""

DRAWN = 20_000
"""Samples times completions that an instalment is placed by: many completions of a small pool, few of a large one."""


@dataclass(frozen=True)
class Step:
    """Where the instalments are."""

    goals: dict[Arm, Counts]
    """(N,) by arm: rollouts that have been asked for."""
    before: dict[Arm, Counts]
    """Those that the instalments before this one asked for."""
    looked_at: NDArray[np.bool_]
    """(N,) whether a sample was part of the first look."""
    number: int
    """Which instalment it is: the first and the second look are 1 and 2."""
    wanted: bool
    """Some of them are not stored yet."""
    table: EvidenceTable
    """The evidence with these rollouts alone."""
    rollouts: Rollouts
    """These, one by one."""

    @property
    def spent(self) -> int:
        """Rollouts, all arms together."""
        return int(sum(goal.sum() for goal in self.goals.values()))


def follow_instalments(
    table: EvidenceTable,
    rollouts: Rollouts,
    rule: Rule,
    budget: int,
    arms: Sequence[Arm],
    start: Step | None = None,
) -> Step:
    """Goes through the instalments as far as their rollouts are stored.

    `table` and `rollouts` hold all that is stored of every sample that can be sampled; `budget` is a number of rollouts,
    `arms` are those that the selector reads. `start` is a step that an earlier call has come to.
    Ends with those that lack rollouts (`wanted`), or after the last one: when the budget is spent, or no verdict is open.
    """
    seed = rule.config.sampling.seed
    lots = np.where(table.images > 0, draw(seed, table.ids), np.inf)

    def ask(goals: dict[Arm, Counts], before: dict[Arm, Counts], looked_at: NDArray[np.bool_], number: int) -> Step:
        return Step(goals, before, looked_at, number, *_seen(table, rollouts, goals))

    if start is not None:
        step = ask(start.goals, start.before, start.looked_at, start.number)
    else:
        goals, looked_at = _first_look(table, rollouts, arms, lots, budget)
        step = ask(goals, {arm: np.zeros_like(goal) for arm, goal in goals.items()}, looked_at, 1)
    while not step.wanted and (left := budget - step.spent) > 0:
        if step.number == 1 and "blind" in arms:
            goals = _second_look(step, lots, left)
        else:
            outlook = look_ahead(step.table, step.rollouts, rule, completions_for(len(table)), seed)
            goals = _place(step, outlook, arms, lots, min(max(1, budget // INSTALMENTS), left))
            if all((goals[arm] == step.goals[arm]).all() for arm in goals):
                break
        step = ask(goals, step.goals, step.looked_at, step.number + 1)
    return step


def stored_step(table: EvidenceTable, rollouts: Rollouts) -> Step:
    """All that is stored, whatever asked for it."""
    goals = {arm: columns.counts["stored"].sum(axis=1) for arm, columns in rollouts.items()}
    looked_at = (table.images > 0) & (goals["image"] > 0)
    return Step(goals, goals, looked_at, 0, *_seen(table, rollouts, goals))


def completions_for(samples: int) -> int:
    """How many completions an instalment is placed by."""
    return min(64, max(8, DRAWN // max(samples, 1)))


def _first_look(
    table: EvidenceTable, rollouts: Rollouts, arms: Sequence[Arm], lots: Numbers, budget: int
) -> tuple[dict[Arm, Counts], NDArray[np.bool_]]:
    """One image rollout (and one with the facts, where a selector reads them) for as many samples as half of the budget
    reaches, and every rollout for the pilot."""
    order = np.lexsort((table.ids, lots))
    first = [arm for arm in arms if arm != "blind"]
    pictured = int((table.images > 0).sum())
    looks = min(pictured, max(1, int(FIRST_LOOK * budget) // len(first)))
    looked_at = np.zeros(len(table), dtype=bool)
    looked_at[order[:looks]] = True
    pilot = order[: min(looks, int(PILOT * budget) // (len(arms) * table.rollouts))]
    goals = {arm: (looked_at & (arm in first)).astype(np.int64) for arm in rollouts}
    for arm in arms:
        goals[arm][pilot] = table.rollouts
    return goals, looked_at


def _second_look(step: Step, lots: Numbers, most: int) -> dict[Arm, Counts]:
    """One blind rollout for those that the image has helped to a right answer: there something can be learned."""
    waiting = (step.table.arms["image"].right > 0) & (step.goals["blind"] == 0)
    order = np.lexsort((lots, ~waiting))[: min(int(waiting.sum()), most)]
    blind = step.goals["blind"].copy()
    blind[order] = 1
    return {**step.goals, "blind": blind}


def _seen(
    table: EvidenceTable, rollouts: Rollouts, goals: dict[Arm, Counts]
) -> tuple[bool, EvidenceTable, dict[Arm, RolloutColumns]]:
    """Whether some of these rollouts are not stored yet, and the evidence with them alone."""
    wanted = any((rollouts[arm].counts["stored"].sum(axis=1) < goal).any() for arm, goal in goals.items())
    seen = first_rollouts(rollouts, goals)
    short = np.logical_or.reduce([goal < table.rollouts for goal in goals.values()]) & (table.images > 0)
    return wanted, replace(counted(table, seen), incomplete=int(short.sum()), pending=0), seen


def _place(step: Step, outlook: Outlook, arms: Sequence[Arm], lots: Numbers, most: int) -> dict[Arm, Counts]:
    """One more rollout for each of the `most` open samples that gain most by it, in the arm where they do.

    The blind arm waits for a right answer with the image. Samples whose rollouts all failed get no more.
    """
    image = step.table.arms["image"]
    gains = np.stack([np.where((arm == "blind") & (image.right == 0), 0.0, outlook.gain[arm]) for arm in arms], axis=1)
    unsure = np.minimum(outlook.probability, 1 - outlook.probability) >= OPEN
    best = np.where(step.looked_at & unsure & (image.graded > 0), gains.max(axis=1), 0.0)
    order = np.lexsort((lots, -best))[:most]
    order = order[best[order] > 0]
    goals = {arm: goal.copy() for arm, goal in step.goals.items()}
    for a, arm in enumerate(arms):
        goals[arm][order[gains[order].argmax(axis=1) == a]] += 1
    return goals
