"""What sampled problems say of training on them: how often a group of responses is informative, and what a rollout costs.

A group is informative where its responses are neither all right nor all wrong: only then rewards differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rap_plugin.errors import RapError
from rap_plugin.evidence.table import Numbers
from rap_plugin.posterior.beta import Posterior, fit
from rap_plugin.selectors.base import Selection

USED_UP = 12
"""Epochs over a selection after which its groups are as uninformative as the pool's (docs/pays_for_itself.md)."""

DRAWN = 20
"""Pools that are drawn from a pilot's posterior."""


@dataclass(frozen=True)
class Pilot:
    """What a pilot's samples say, one entry a sample."""

    informative: Numbers
    """Posterior probability that a group of G responses differs."""
    chosen: NDArray[np.bool_]
    near_half: Numbers
    """Distance of the posterior mean success from one half: the order of selector band."""
    rollouts: int
    """M of scoring."""
    price: dict[str, float]
    """Seconds of a rollout, by arm."""
    success: Numbers
    """(DRAWN, N) successes with the image, drawn from the posterior: pools that the pilot may be a part of."""


def read_pilot(selection: Selection, cost: dict[str, Any], group: int) -> Pilot:
    """What a finished run over some samples says. Raises RapError where none could be used."""
    table = selection.table
    pictured = table.images > 0
    if not pictured.any():
        raise RapError("the pilot has no usable sample with an image; quarantine.parquet says why")
    posterior = _posterior(selection)
    success, differs = posterior.mean(0), _informative(posterior, group)
    random, order = np.random.Generator(np.random.Philox(key=[0, 1])), np.argsort(table.ids)
    price: dict[str, float] = {}
    for arm in table.arms:
        stage = cost["stages"].get(f"sample {arm}", {})
        price[arm] = stage["seconds"] / stage["rollouts"] if stage.get("rollouts") else 0.0
    return Pilot(
        differs[pictured],
        selection.decision.chosen[pictured],
        np.abs(success - 0.5)[pictured],
        table.rollouts,
        price,
        np.array([posterior.draw(random, order)[pictured, 0] for _ in range(DRAWN)]),
    )


def _posterior(selection: Selection) -> Posterior:
    image = selection.table.arms["image"]
    return fit(image.right[:, None], image.graded[:, None])


def _informative(posterior: Posterior, group: int) -> Numbers:
    """(N,) a sample's chance of a mixed group over its whole posterior: the expectation of what further rollouts do."""
    counts = posterior.predict(group)
    return (1 - counts[:, 0] - counts[:, -1])[posterior.state]


@dataclass(frozen=True)
class Payback:
    """When a selection has paid for itself, against training on the whole pool.

    Costs are in the price of sampling one response with the image. A group of G responses costs G to sample and
    `learning` G to learn from. Training on the pool needs 1 / `pool` groups for an informative one, on the selection
    1 / `selected`; the difference pays for the selection.
    """

    spent: float
    """Of the selection: sampling of all arms, grading, reading, measuring."""
    rows: int
    """Selected samples."""
    informative: Mapping[int, tuple[float, float]]
    """By responses to a prompt G: share of informative groups over the usable pool, and over the selection."""

    def steps(self, group: int, prompts: int, learning: float, *, filtered: bool = False) -> float:
        """Training steps of so many prompts over the whole pool at which both have cost the same; infinite where never.

        `filtered`: the training on the pool learns from informative groups only (a zero-variance filter), so that the
        selection saves their sampling alone.
        """
        pool, selected = self.informative[group]
        if not 0 < pool < selected:
            return math.inf
        saved = group * (1 / pool - 1 / selected) * (1 if filtered else 1 + learning)
        return self.spent / saved / pool / prompts

    def epochs(self, steps: float, group: int, prompts: int) -> float:
        """Passes over the selection that give as many informative groups as so many steps over the whole pool."""
        pool, selected = self.informative[group]
        return steps * prompts * pool / max(selected, 1e-9) / max(self.rows, 1)


GROUPS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32)
"""Responses to a prompt that trainings use."""


def pay_back(selection: Selection, cost: Mapping[str, Any], groups: Sequence[int] = GROUPS) -> Payback | None:
    """What a finished run's selection has cost and brings; None where nothing was selected or sampled with an image.

    Informative shares are those of the model as it was sampled: they fall as it learns, on the pool as on the selection.
    """
    table, chosen = selection.table, selection.decision.chosen
    pictured, sampled = table.images > 0, table.arms["image"].graded > 0
    if not chosen.any() or not (pictured & sampled).any():
        return None
    stage = cost["stages"].get("sample image", {})
    price = stage["seconds"] / stage["rollouts"] if stage.get("rollouts") else 0.0
    # Rollouts that another tool has sampled come without a time: then a rollout of any arm counts as one.
    spent = cost["total"]["seconds"] / price if price > 0 else float(sum(c.stored.sum() for c in table.arms.values()))
    posterior = _posterior(selection)
    shares = {}
    for group in groups:
        differs = _informative(posterior, group)
        shares[group] = float(differs[pictured].mean()), float(differs[chosen].mean())
    return Payback(spent, int(chosen.sum()), shares)
