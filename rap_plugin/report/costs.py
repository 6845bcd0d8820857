"""What the selection has cost, and when it has paid for itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rap_plugin.posterior.pilot import USED_UP, Payback

PROMPTS, GROUP, LEARNING = 128, 5, 2.0
"""What a training is taken to be until the reader says otherwise: those of `rap plan`."""

AGAINST = (("the whole pool", False), ("the whole pool, zero-variance filter", True))
"""Trainings that a selection is set against, and whether they learn from informative groups only."""


@dataclass(frozen=True)
class StageCost:
    """One line of the cost table."""

    stage: str
    seconds: float
    share: float
    rollouts: int
    prompt_tokens: int
    response_tokens: int


def stage_costs(cost: Mapping[str, Any]) -> list[StageCost]:
    """The cost ledger by stage, each with its share of the time."""
    total = max(cost["total"]["seconds"], 1e-9)
    return [
        StageCost(
            stage,
            entry["seconds"],
            entry["seconds"] / total,
            entry["rollouts"],
            entry["prompt_tokens"],
            entry["response_tokens"],
        )
        for stage, entry in cost["stages"].items()
    ]


@dataclass(frozen=True)
class BreakEven:
    """One line of the table of break-even points."""

    against: str
    never: bool
    """The selection's groups are not informative more often than the pool's."""
    steps: int
    rollouts: int
    """Of those steps over the whole pool."""
    epochs: float
    """Over the selection, for as many informative groups."""
    used_up: bool
    """So many passes leave little to learn: the point is not reached."""


def break_even(payback: Payback) -> list[BreakEven]:
    """The table for the training that a reader sees first; the page's script has the same for others."""
    rows = []
    for against, filtered in AGAINST:
        steps = payback.steps(GROUP, PROMPTS, LEARNING, filtered=filtered)
        if math.isinf(steps):
            rows.append(BreakEven(against, True, 0, 0, 0.0, False))
            continue
        whole = math.ceil(steps)
        epochs = payback.epochs(steps, GROUP, PROMPTS)
        rows.append(BreakEven(against, False, whole, whole * PROMPTS * GROUP, epochs, epochs > USED_UP))
    return rows


def as_json(payback: Payback | None) -> dict[str, Any] | None:
    """The numbers as the page's script reads them."""
    if payback is None:
        return None
    return {
        "spent": payback.spent,
        "rows": payback.rows,
        "informative": {str(group): list(shares) for group, shares in payback.informative.items()},
        "used_up": USED_UP,
    }
