"""What scoring by instalments chooses from part of the rollouts of finished, full runs, held against the runs themselves.

    rap demo --out demo-run
    for seed in 1 2 3 4; do rap select $(rap path demo-pool) --model $(rap path demo-model) --instruction "" --max-new-tokens 64 \\
        --batch-size 320 --set sampling.seed=$seed --out demo-run-$seed; done
    python benchmarks/instalments.py demo-run demo-run-1 demo-run-2 demo-run-3 demo-run-4

Replays each budget over the stored rollouts (no engine), which gives the selection that `rap select --budget-rollouts` makes.
Overlaps are Jaccard indices: with the run's own selection, and with those of the other runs, beside what the full run
itself reaches there. The latter is the resampling noise: no rule can tell more of another run than that.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

import numpy as np

from rap_plugin.config import load_config
from rap_plugin.pipeline import instalments
from rap_plugin.pipeline.selection import load_selection
from rap_plugin.plugins import get_plugins
from rap_plugin.selectors.curtailed import stopped


def overlap(one: set[str], other: set[str]) -> float:
    return len(one & other) / max(len(one | other), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--budgets", default="0.3,0.4,0.5,0.6", help="shares of all rollouts")
    arguments = parser.parse_args()
    registry = get_plugins().registry()
    full: list[set[str]] = []
    part: dict[str, list[tuple[float, set[str]]]] = {}
    for run in arguments.runs:
        selection, store = load_selection(run)
        with closing(store):
            if stopped(selection.table).any():
                raise SystemExit(f"{run}: sampling stopped early; replay needs a full run")
            full.append(set(selection.table.ids[selection.decision.chosen].tolist()))
            probes = selection.table.probes
            whole = int((selection.table.images > 0).sum()) * selection.table.rollouts * len(probes)
            for budget in arguments.budgets.split(","):
                config = load_config(flags={"sampling.budget_rollouts": budget}, base=selection.config)
                table, decision, _ = instalments.decide(store, config, probes, registry)
                spent = sum(int(arm.stored.sum()) for arm in table.arms.values()) / whole
                part.setdefault(budget, []).append((spent, set(table.ids[decision.chosen].tolist())))
    others = [(i, j) for i in range(len(full)) for j in range(len(full)) if i != j]
    noise = [overlap(full[i], full[j]) for i, j in others]
    if noise:
        print(f"two full runs overlap by {np.mean(noise):.1%}")
    for budget, found in part.items():
        own = [overlap(chosen, run) for (_, chosen), run in zip(found, full, strict=True)]
        firm = [len(chosen & run) / max(len(chosen), 1) for (_, chosen), run in zip(found, full, strict=True)]
        there = [overlap(found[i][1], full[j]) for i, j in others]
        words = f"budget {budget}: {np.mean([spent for spent, _ in found]):.1%} of the rollouts, overlap with the own full run "
        words += f"{np.mean(own):.1%} ({np.mean(firm):.1%} of what is chosen)"
        if there:
            words += f", with other full runs {np.mean(there):.1%} ({np.mean(there) / np.mean(noise):.1%} of what full runs reach)"
        print(words, flush=True)


if __name__ == "__main__":
    main()
