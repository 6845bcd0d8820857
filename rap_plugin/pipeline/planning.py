"""What would each way to choose training rows cost? Expectations from a pilot, before anything is paid.

Ways are compared at the same number of informative groups: those that the given steps over the whole pool would have. Costs are
in rollouts, and in seconds at the pilot's own price of a rollout in each arm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rap_plugin.evidence.table import Numbers
from rap_plugin.posterior.following import FollowOptions, begin, choose, observe
from rap_plugin.posterior.pilot import USED_UP, Pilot, read_pilot

__all__ = ["Mode", "Pilot", "Training", "plan_modes", "read_pilot"]

DRAWS = 400
TRIED = 500
"""Samples of a pool that following is tried out on."""
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
    return [
        *found,
        _following(pilot, training, seed, cost(expected, 0.0, True, "best")[1] / max(found[0].seconds[0], 1e-12)),
    ]


def _following(pilot: Pilot, training: Training, seed: int, at_best: float) -> Mode:
    """Following from nothing, all rows one group: tried out on pools drawn from the pilot's posterior, of a model that stands still."""
    groups, needed = training.steps * training.prompts, []
    for number, success in enumerate(pilot.success):
        random = np.random.Generator(np.random.Philox(key=[seed, number + 1]))
        needed.append(groups_asked(success[random.integers(0, len(success), len(success))], training, random))
    asked = np.array(needed)
    numbers = float(asked.mean()), *_interval(asked)
    price = pilot.price.get("image", 0.0) * training.group * (1 + training.learning)

    def times(factor: float) -> tuple[float, float, float]:
        return numbers[0] * factor, numbers[1] * factor, numbers[2] * factor

    note = f"{at_best:.0%} if it knew all"
    return Mode("following", 0.0, times(training.group), times(price), times(1 / groups), note)


def groups_asked(success: Numbers, training: Training, random: np.random.Generator) -> float:
    """Groups that following asks for until as many were informative, in expectation, as in the training over the whole pool.

    `success` (N,) are samples that the pool is made of. The pool is tried out at a smaller size, in the same proportion to a batch.
    """
    group = training.group
    size = min(training.pool, max(TRIED, training.pool // training.prompts))
    prompts = max(1, round(training.prompts * size / training.pool))
    p = random.choice(success, size)
    differs = 1 - p**group - (1 - p) ** group
    wanted = float(differs.mean()) * training.steps * prompts
    options, beliefs, found = FollowOptions(group, seed=int(random.integers(2**31))), begin([0] * size), 0.0
    for step in range(training.steps):
        rows = choose(beliefs, options, prompts, step)
        found += float(differs[rows].sum())
        if found >= wanted:
            return (step + 1) * training.prompts
        right = random.binomial(group, p[rows])
        beliefs = observe(beliefs, options, rows.tolist(), right.tolist(), [group] * prompts)
    return training.steps * training.prompts


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
