"""Which row comes next, by how much its rollouts still disagree.

A GRPO group whose rollouts are all right or all wrong has no advantage and gives no gradient. The weight of a row is
the chance that two new rollouts of it differ, E[2 p (1 - p)], with p known from the selection's rollouts at first
and from those of the training itself later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rap_plugin.errors import RapError

Floats = NDArray[np.float64]

PRIOR = 0.5
"""Pseudo-counts of right and wrong (Jeffreys): no row is ever sure, so none is lost for good."""


def disagreement(right: Floats, wrong: Floats) -> Floats:
    """E[2 p (1 - p)] under Beta(right + 1/2, wrong + 1/2), shape (rows,), in (0, 1/2)."""
    a, b = right + PRIOR, wrong + PRIOR
    return np.asarray(2 * a * b / ((a + b) * (a + b + 1)))


class Curriculum:
    """An endless, deterministic order of rows in proportion to their weights.

    Each draw adds every row's share of the weights to what it is owed. A row is due once in every unit that it is owed,
    at a random point of it, and the most overdue row comes next. So rows come as often as their weights say with no
    more scatter than that; with equal weights every epoch is a random permutation. A draw costs O(rows).
    """

    def __init__(self, ids: Sequence[str], right: Floats, wrong: Floats, *, seed: int = 0, fade: float = 0.5) -> None:
        self.ids = list(ids)
        self.seed = seed
        self.fade = fade
        self._place = {identity: i for i, identity in enumerate(self.ids)}
        self._right = np.array(right, dtype=np.float64)
        self._wrong = np.array(wrong, dtype=np.float64)
        self._owed = np.zeros(len(self.ids))
        self._visits = np.zeros(len(self.ids), dtype=np.int64)
        self._point = np.random.default_rng(seed).random(len(self.ids))
        self._share = self._shares()
        self.learned = False
        """Whether any rollouts of the training have come in."""

    @property
    def weights(self) -> Floats:
        """The chance that two fresh rollouts of a row differ, shape (rows,)."""
        return disagreement(self._right, self._wrong)

    @property
    def draws(self) -> int:
        """How many rows were drawn so far."""
        return int(self._visits.sum())

    def draw(self) -> int:
        """The next row, as a position in `ids`."""
        self._owed += self._share
        row = int(np.argmax(self._owed - self._visits + self._point))
        self._visits[row] += 1
        self._point[row] = np.random.default_rng([self.seed, row, int(self._visits[row])]).random()
        return row

    def learn(self, groups: Mapping[str, tuple[int, int]]) -> None:
        """Takes in rollouts of the training: id -> (right, wrong). Earlier counts of those rows fade: the model has changed.

        Rows that are not of this data set are left out.
        """
        for identity, (right, wrong) in groups.items():
            row = self._place.get(identity)
            if row is None or right + wrong == 0:
                continue
            self._right[row] = self.fade * self._right[row] + right
            self._wrong[row] = self.fade * self._wrong[row] + wrong
            self.learned = True
        self._share = self._shares()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the order depends on, as copies."""
        return {
            "rows": fingerprint(self.ids),
            "seed": self.seed,
            "learned": self.learned,
            "right": self._right.copy(),
            "wrong": self._wrong.copy(),
            "owed": self._owed.copy(),
            "visits": self._visits.copy(),
            "point": self._point.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where the state was taken. Raises RapError where it is of other rows."""
        if state.get("rows") != fingerprint(self.ids):
            raise RapError(
                "the checkpoint's data state is of other rows than data.rap.run_dir selects now; decide the run as it "
                "was, or start with a new trainer.default_local_dir"
            )
        self.seed, self.learned = int(state["seed"]), bool(state["learned"])
        self._right, self._wrong = np.array(state["right"]), np.array(state["wrong"])
        self._owed, self._visits = np.array(state["owed"]), np.array(state["visits"])
        self._point = np.array(state["point"])
        self._share = self._shares()

    def _shares(self) -> Floats:
        weights = self.weights
        return np.asarray(weights / weights.sum())


def fingerprint(ids: Sequence[str]) -> str:
    """Of the rows of a data set, in their order."""
    return hashlib.blake2b("\n".join(ids).encode(), digest_size=16).hexdigest()
