"""A scorer from one function: one number per sample, from the evidence alone.

    @scorer("difficulty", arms=("image",))
    def difficulty(table: EvidenceTable, config: RunConfig) -> Numbers: ...

A plain function of a plugin is a scorer, too; it counts as one that reads both arms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rap_plugin.config import RunConfig
from rap_plugin.evidence.table import EvidenceTable, Numbers
from rap_plugin.rollout import ARMS, Arm

Score = Callable[[EvidenceTable, RunConfig], Numbers]
"""(table of N samples, configuration) -> (N,) numbers, NaN where the score is not defined."""


@dataclass(frozen=True)
class Scorer:
    """A score with its name and the arms whose rollouts it depends on."""

    name: str
    compute: Score
    arms: tuple[Arm, ...]

    def __call__(self, table: EvidenceTable, config: RunConfig) -> Numbers:
        return self.compute(table, config)


def scorer(name: str, *, arms: tuple[Arm, ...] = ARMS) -> Callable[[Score], Scorer]:
    """Make a scorer of a function. `arms` lets sampling stop early in the arm that the score does not read."""

    def decorate(compute: Score) -> Scorer:
        found = Scorer(name, compute, arms)
        object.__setattr__(found, "__doc__", compute.__doc__)
        return found

    return decorate


def arms_of(score: Score) -> tuple[Arm, ...]:
    """The arms that a score depends on."""
    arms: tuple[Arm, ...] = getattr(score, "arms", ARMS)
    return arms
