"""What curtailment saves on a finished, full run, per preset and selector, and the least that could be sampled.

    rap demo --out demo-run
    python benchmarks/curtailment.py demo-run

Replays the stored rollouts through the waves of `rap_plugin/selectors/stopping.py` (no engine) and compares all verdicts
with those of the full run. The floor is a lower bound on the response tokens of any procedure that samples rollouts in
their order: for each sample the cheapest numbers of rollouts in both arms that settle its verdict when every other
sample is known completely.
"""

from __future__ import annotations

import argparse
import dataclasses
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from rap_plugin.config import RunConfig, load_config
from rap_plugin.evidence.rollouts import read_rollouts
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.table import ArmCounts, EvidenceTable
from rap_plugin.pipeline.selection import compute_scores, load_selection
from rap_plugin.plugins import get_plugins
from rap_plugin.rollout import ARMS
from rap_plugin.selectors import curtailed
from rap_plugin.selectors.stopping import find_stopping_rule

CASES: dict[str, dict[str, Any]] = {
    "rap paper": {},
    "rap paper, ACE off": {"selection.ace": False},
    "rap paper, DRM off": {"selection.drm": False},
    "rap paper, ACE and DRM off": {"selection.ace": False, "selection.drm": False},
    "rap released": {"selection.preset": "released"},
    "band": {"selection.selector": "band"},
    "band, budget": {"selection.selector": "band", "selection.keep": 0.1},
    "limr": {"selection.selector": "limr"},
    "random": {"selection.selector": "random"},
}


class Replay:
    """The rollouts of a full run as (N, M) arrays, and tables of their first few."""

    def __init__(self, store: EvidenceStore, table: EvidenceTable) -> None:
        self.table = table
        self.rollouts = table.rollouts
        self.read = {arm: read_rollouts(store, table, arm, ["psi_window_max_10"]) for arm in ARMS}
        self.tokens = {arm: self.read[arm].counts["tokens"] for arm in ARMS}
        psi = self.read["image"].statistics["psi_window_max_10"]
        self.log_psi = np.where(np.isnan(psi), -np.inf, psi)

    def seen(self, counts: dict[str, Any]) -> EvidenceTable:
        """The table after the first `counts[arm]` rollouts of every sample."""
        arms: dict[Any, ArmCounts] = {}
        for arm in ARMS:
            mask = np.arange(self.rollouts) < np.asarray(counts[arm])[:, None]
            arms[arm] = ArmCounts(**{name: (each * mask).sum(axis=1) for name, each in self.read[arm].counts.items()})
        mask = np.arange(self.rollouts) < np.asarray(counts["image"])[:, None]
        psi = np.where(mask, self.log_psi, -np.inf).max(axis=1)
        seen = {("psi_window_max_10", "max"): np.where(np.isinf(psi), np.nan, psi)}
        return dataclasses.replace(self.table, arms=arms, statistics={**self.table.statistics, **seen})

    def cost(self, counts: dict[str, Any]) -> int:
        """Response tokens of those rollouts."""
        total = 0
        for arm in ARMS:
            mask = np.arange(self.rollouts) < np.asarray(counts[arm])[:, None]
            total += int(self.tokens[arm][mask].sum())
        return total


def full(replay: Replay) -> dict[str, Any]:
    return {arm: np.full(len(replay.table), replay.rollouts) for arm in ARMS}


def verdicts(table: EvidenceTable, config: RunConfig) -> Any:
    registry = get_plugins().registry()
    selector = registry.get("selectors", config.selection.selector)
    return selector(table, compute_scores(table, config, registry), config).verdicts


def settled(table: EvidenceTable, config: RunConfig) -> Any:
    rule = find_stopping_rule(config)
    assert rule is not None
    usable = (table.arms["image"].graded > 0) & (table.arms["blind"].graded > 0)
    return usable & rule.settled(table, compute_scores(table, config, get_plugins().registry()), config)


def waves(replay: Replay, config: RunConfig) -> dict[str, Any]:
    """How many rollouts of each sample the waves sample."""
    rule = find_stopping_rule(config)
    assert rule is not None
    counts = {arm: np.zeros(len(replay.table), int) for arm in ARMS}
    for arm, goal in (*rule.waves(config), ("image", replay.rollouts), ("blind", replay.rollouts)):
        done = settled(replay.seen(counts), config)
        counts[arm] = np.where(done, counts[arm], np.maximum(counts[arm], goal))
    return counts


def floor(replay: Replay, config: RunConfig) -> int:
    """The lower bound, in response tokens."""
    n = len(replay.table)
    best = np.full(n, np.iinfo(np.int64).max)
    sums = {arm: np.cumsum(replay.tokens[arm], axis=1) for arm in ARMS}
    for image in range(1, replay.rollouts + 1):
        for blind in range(1, replay.rollouts + 1):
            price = sums["image"][:, image - 1] + sums["blind"][:, blind - 1]
            for i in np.flatnonzero(price < best):
                counts = full(replay)
                counts["image"][i], counts["blind"][i] = image, blind
                if settled(replay.seen(counts), config)[i]:
                    best[i] = price[i]
    return int(best.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--no-floor", action="store_true", help="leave out the lower bound, which takes longest")
    arguments = parser.parse_args()
    selection, store = load_selection(arguments.run)
    with closing(store):
        if curtailed.stopped(selection.table).any():
            raise SystemExit(f"{arguments.run}: a curtailed run; replay needs a full one")
        replay = Replay(store, selection.table)
        whole = replay.cost(full(replay))
        print(f"{len(replay.table)} samples, {whole:,} response tokens in full")
        print(f"{'':<28} {'tokens left unsampled':>22} {'at most (floor)':>16}  verdicts")
        for name, flags in CASES.items():
            config = load_config(flags=flags, base=selection.config)
            counts = waves(replay, config)
            saved = 1 - replay.cost(counts) / whole
            seen = replay.seen(counts)
            assert settled(seen, config).all()
            same = (verdicts(curtailed.complete(seen), config) == verdicts(replay.seen(full(replay)), config)).all()
            bound = "" if arguments.no_floor else f"{1 - floor(replay, config) / whole:.1%}"
            print(f"{name:<28} {saved:>21.1%} {bound:>17}  {'all equal' if same else 'DIFFERENT'}", flush=True)


if __name__ == "__main__":
    main()
