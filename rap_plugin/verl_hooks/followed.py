"""Rows that follow the model under verl: the posterior of docs/following.md behind the data set that verl's loader reads.

It has the methods of `Curriculum`: rows are drawn one by one, rollouts are told when they are there, and the state goes into verl's
checkpoints. A batch is chosen when its first row is asked for, from all that was told by then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from rap_plugin.errors import RapError
from rap_plugin.posterior.following import (
    Beliefs,
    FollowOptions,
    begin,
    choose,
    group_numbers,
    instalment,
    observe,
    observe_blind,
    renewals,
    step_metrics,
    with_evidence,
)
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
        self._told_blind: dict[int, tuple[int, int]] = {}
        """The same without the image."""
        self._renewals: Counter[int] = Counter()
        """Rows of the batch that is read -> rollouts without the image that are still to be asked for."""
        self.learned = False

    @property
    def draws(self) -> int:
        """How many rows were drawn so far."""
        return self._batches * self.size - len(self._left)

    def draw(self) -> int:
        """The next row, as a position in `ids`."""
        if not self._left:
            if self._batches:
                self.beliefs = observe(self.beliefs, self.options, *_columns(self._told))
                if self.options.renew:
                    self.beliefs = observe_blind(self.beliefs, self.options, *_columns(self._told_blind))
                self._told, self._told_blind = {}, {}
            self._left = choose(self.beliefs, self.options, self.size, self._batches).tolist()
            rollouts = instalment(self.options, self.size, self._batches)
            self._renewals = Counter(renewals(self.beliefs, self.options, self._left, rollouts))
            self._batches += 1
        return self._left.pop(0)

    def take_renewals(self, row: int) -> int:
        """How many rollouts without the image this row of the batch is asked for. They are given once."""
        return self._renewals.pop(row, 0)

    def learn(self, groups: Mapping[str, tuple[int, int]]) -> None:
        """Takes in rollouts of the training: id -> (right, wrong). Rows that are not of this data set are left out."""
        self.learned |= self._add(self._told, groups)

    def learn_blind(self, groups: Mapping[str, tuple[int, int]]) -> None:
        """The same for rollouts without the image."""
        self._add(self._told_blind, groups)

    def _add(self, told: dict[int, tuple[int, int]], groups: Mapping[str, tuple[int, int]]) -> bool:
        known = {row: counts for identity, counts in groups.items() if (row := self._place.get(identity)) is not None}
        for row, (right, wrong) in known.items():
            if right + wrong:
                before = told.get(row, (0, 0))
                told[row] = before[0] + right, before[1] + right + wrong
        return any(map(sum, known.values()))

    def metrics(self) -> dict[str, float]:
        """Of what was told since the batch was chosen (docs/following.md)."""
        found = step_metrics(self.beliefs, self.options, *_columns(self._told))
        if self.options.renew:
            found["rap/follow/blind_rollouts"] = float(sum(asked for _, asked in self._told_blind.values()))
        return found

    def state_dict(self) -> dict[str, Any]:
        """Everything that the order depends on, as copies."""
        return {
            "rows": fingerprint(self.ids),
            "batches": self._batches,
            "left": list(self._left),
            "told": dict(self._told),
            "told_blind": dict(self._told_blind),
            "renewals": dict(self._renewals),
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
        # From nothing, for what a checkpoint of an earlier version does not hold.
        self.beliefs = replace(begin(beliefs["group"]), **{**beliefs, "step": int(beliefs["step"])})
        self._batches, self.learned = int(state["batches"]), bool(state["learned"])
        self._left, self._told = list(state["left"]), dict(state["told"])
        # Not there in a checkpoint from before there were any.
        self._told_blind, self._renewals = dict(state.get("told_blind", {})), Counter(state.get("renewals", {}))


def _columns(told: Mapping[int, tuple[int, int]]) -> tuple[list[int], list[int], list[int]]:
    """Rows, right rollouts, all of them."""
    rows = sorted(told)
    return rows, [told[row][0] for row in rows], [told[row][1] for row in rows]


def beliefs_of_ids(run: Path, ids: Sequence[str], labels: Sequence[object]) -> Beliefs:
    """Beliefs of rows with these ids from a run's evidence; rows with equal labels share strength."""
    scores = pq.read_table(run / files.SCORES, columns=["rap_id", *EVIDENCE]).to_pylist()
    known = {row["rap_id"]: [float(row[name] or 0) for name in EVIDENCE] for row in scores}
    right, asked, blind_right, blind_asked = np.array([known[identity] for identity in ids]).T
    rows = list(range(len(ids)))
    return with_evidence(begin(group_numbers(labels)), rows, (right, asked), (blind_right, blind_asked))
