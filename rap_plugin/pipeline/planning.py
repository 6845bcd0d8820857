"""What would each way to choose training rows cost? Expectations from a pilot, before anything is paid.

Ways are compared at the same number of informative groups: those that the given steps over the whole pool would have. Costs are
in rollouts, and in seconds at the pilot's own price of a rollout in each arm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rap_plugin.evidence.table import Numbers
from rap_plugin.posterior.pilot import USED_UP, Pilot, read_pilot

__all__ = ["Mode", "Pilot", "Training", "plan_modes", "read_pilot"]

DRAWS = 400
INSTALMENTS_SHARE = 0.5
"""Of all rollouts: what scoring by instalments needs for nearly the full selection (docs/method.md)."""


@dataclass(frozen=True)
class Training:
    """The training that is planned."""

    pool: int
    """Usable samples of the whole pool."""
    steps: int
    prompts: int
    """Of a step."""
    group: int
    """Responses to a prompt, G."""
    learning: float = 2.0
    """What a response costs to learn from, in the price of sampling one."""


@dataclass(frozen=True)
class Mode:
    """One way to choose rows, with 90 % intervals."""

    name: str
    scoring: float
    """Rollouts before training."""
    training: tuple[float, float, float]
    """Rollouts of training: expected, least, most."""
    seconds: tuple[float, float, float]
    share: tuple[float, float, float]
    """Of the whole pool's cost."""
    note: str = ""


def plan_modes(pilot: Pilot, training: Training, seed: int = 0) -> list[Mode]:
    """Every mode's expected cost; intervals are a bootstrap over the pilot's samples."""
    random = np.random.Generator(np.random.Philox(key=[seed, 0]))
    n = len(pilot.informative)
    drawn = [_shares(pilot, training, random.integers(0, n, n)) for _ in range(DRAWS)]
    expected = _shares(pilot, training, np.arange(n))
    arms = len(pilot.price)
    image, scored = pilot.price.get("image", 0.0), sum(pilot.price.values())
    whole = training.pool * pilot.rollouts
    # name, rollouts and seconds of scoring, whether uninformative groups are learned from
    modes = [
        ("whole pool", 0.0, 0.0, True, "whole pool"),
        ("whole pool, zero-variance filter", 0.0, 0.0, False, "whole pool"),
        ("band", whole, whole * image, True, "band"),
        ("rap select", arms * whole, whole * scored, True, "selection"),
        ("rap select by instalments", INSTALMENTS_SHARE * arms * whole, INSTALMENTS_SHARE * whole * scored, True, "selection"),
        ("following, at best", 0.0, 0.0, True, "best"),
    ]  # fmt: skip
    groups = training.steps * training.prompts

    def cost(shares: dict[str, float], seconds: float, learn_all: bool, kind: str) -> tuple[float, float]:
        needed = groups * shares["whole pool"] / max(shares[kind], 1e-6)
        learned = needed if learn_all else groups * shares["whole pool"]
        return needed * training.group, seconds + image * training.group * (needed + training.learning * learned)

    found = []
    base = [cost(shares, 0.0, True, "whole pool")[1] for shares in drawn]
    for name, rollouts, seconds, learn_all, kind in modes:
        centre = cost(expected, seconds, learn_all, kind)
        spread = np.array([cost(shares, seconds, learn_all, kind) for shares in drawn])
        ratio = spread[:, 1] / np.maximum(base, 1e-12)
        whole_cost = max(cost(expected, 0.0, True, "whole pool")[1], 1e-12)
        note = ""
        if kind == "selection":
            rows = training.pool * float(pilot.chosen.mean())
            epochs = centre[0] / training.group / max(rows, 1e-6)
            note = f"{rows:,.0f} rows, {epochs:.1f} epochs" + (": used up before the end" if epochs > USED_UP else "")
            if not pilot.chosen.any():
                note = "the pilot selects nothing"
        found.append(
            Mode(
                name,
                rollouts,
                (centre[0], *_interval(spread[:, 0])),
                (centre[1], *_interval(spread[:, 1])),
                (centre[1] / whole_cost, *_interval(ratio)),
                note,
            )
        )
    return found


def _shares(pilot: Pilot, training: Training, rows: NDArray[np.int64]) -> dict[str, float]:
    """Expected share of informative groups by kind of rows, over these samples of the pilot."""
    differs, chosen = pilot.informative[rows], pilot.chosen[rows]
    tenth = max(1, len(rows) // 10)
    pool = float(differs.mean())
    return {
        "whole pool": pool,
        "selection": float(differs[chosen].mean()) if chosen.any() else pool,
        "band": float(differs[np.argsort(pilot.near_half[rows], kind="stable")[:tenth]].mean()),
        "best": float(np.sort(differs)[-tenth:].mean()),
    }


def _interval(values: Numbers) -> tuple[float, float]:
    low, high = np.quantile(values, [0.05, 0.95]).tolist()
    return low, high
