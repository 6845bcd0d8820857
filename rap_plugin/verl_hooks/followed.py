"""Rows that follow the model under verl: the posterior of docs/following.md behind the data set that verl's loader reads.

It has the methods of `Curriculum`: rows are drawn one by one, rollouts are told when they are there, and the state goes into verl's
checkpoints. A batch is chosen when its first row is asked for, from all that was told by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from rap_plugin.errors import RapError
from rap_plugin.posterior.following import Beliefs, FollowOptions, begin, choose, group_numbers, observe, with_evidence
from rap_plugin.run_dir import files
from rap_plugin.verl_hooks.curriculum import fingerprint

EVIDENCE = ("rap_right_image", "rap_rollouts_image", "rap_right_blind", "rap_rollouts_blind")


class FollowedRows:
    """An endless, deterministic order of rows: batches of `size` that the posterior draws."""

    def __init__(self, ids: Sequence[str], beliefs: Beliefs, options: FollowOptions, size: int) -> None:
        self.ids, self.options, self.size = list(ids), options, size
        self._place = {identity: row for row, identity in enumerate(self.ids)}
        self.beliefs = beliefs
        self._batches = 0
        self._left: list[int] = []
        """Rows of the batch that is read which were not read yet."""
        self._told: dict[int, tuple[int, int]] = {}
        """Rollouts since the batch was chosen: row -> (right, all)."""
        self.learned = False

    @property
    def draws(self) -> int:
        """How many rows were drawn so far."""
        return self._batches * self.size - len(self._left)

    def draw(self) -> int:
        """The next row, as a position in `ids`."""
        if not self._left:
            if self._batches:
                rows = sorted(self._told)
                right, asked = ([self._told[row][at] for row in rows] for at in (0, 1))
                self.beliefs = observe(self.beliefs, self.options, rows, right, asked)
                self._told = {}
            self._left = choose(self.beliefs, self.options, self.size, self._batches).tolist()
            self._batches += 1
        return self._left.pop(0)

    def learn(self, groups: Mapping[str, tuple[int, int]]) -> None:
        """Takes in rollouts of the training: id -> (right, wrong). Rows that are not of this data set are left out."""
        for identity, (right, wrong) in groups.items():
            row = self._place.get(identity)
            if row is not None and right + wrong:
                before = self._told.get(row, (0, 0))
                self._told[row] = before[0] + right, before[1] + right + wrong
                self.learned = True

    def state_dict(self) -> dict[str, Any]:
        """Everything that the order depends on, as copies."""
        return {
            "rows": fingerprint(self.ids),
            "batches": self._batches,
            "left": list(self._left),
            "told": dict(self._told),
            "learned": self.learned,
            "beliefs": {field.name: np.copy(getattr(self.beliefs, field.name)) for field in fields(Beliefs)},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where the state was taken. Raises RapError where it is of other rows, or of a curriculum."""
        if state.get("rows") != fingerprint(self.ids) or "beliefs" not in state:
            raise RapError(
                "the checkpoint's data state did not follow these rows; train on the run and the files that it was, or "
                "start with a new trainer.default_local_dir"
            )
        beliefs = dict(state["beliefs"])
        self.beliefs = Beliefs(**{**beliefs, "step": int(beliefs["step"])})
        self._batches, self.learned = int(state["batches"]), bool(state["learned"])
        self._left, self._told = list(state["left"]), dict(state["told"])


def beliefs_of_ids(run: Path, ids: Sequence[str], labels: Sequence[object]) -> Beliefs:
    """Beliefs of rows with these ids from a run's evidence; rows with equal labels share strength."""
    scores = pq.read_table(run / files.SCORES, columns=["rap_id", *EVIDENCE]).to_pylist()
    known = {row["rap_id"]: [float(row[name] or 0) for name in EVIDENCE] for row in scores}
    right, asked, blind_right, blind_asked = np.array([known[identity] for identity in ids]).T
    rows = list(range(len(ids)))
    return with_evidence(begin(group_numbers(labels)), rows, (right, asked), (blind_right, blind_asked))
