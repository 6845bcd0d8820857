"""Which samples a page shows: some of every verdict, and those that a threshold decides about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.table import Numbers
from rap_plugin.report.certainty import Certainty, measure_certainty
from rap_plugin.report.joint import Joint, own_edge, own_variant
from rap_plugin.selectors.base import Selection

SAMPLES = 160
PER_VERDICT = 8
BORDERLINE = 16
"""On each side of a threshold."""


@dataclass(frozen=True)
class Standing:
    """Where a sample stands in the page's table of counts."""

    cell: int = -1
    """-1: it was not judged, so that no threshold changes its verdict."""
    rank: int = 0
    cut: bool = False
    bins: tuple[int, ...] = ()
    """Bin of psi, one per ACE variant."""


def choose_samples(
    selection: Selection, joint: Joint | None, most: int = SAMPLES, chance: Numbers | None = None
) -> list[int]:
    """Indices of up to `most` samples, no one picked by hand.

    In turn one of every verdict, by ids, which are hashes; then those nearest to lambda_c and to lambda_a, and those
    whose `chance` (N,) of being selected is nearest to one half; then, while there is room, some of every cell, so that
    other thresholds have samples at their borders, too.
    """
    table, verdicts = selection.table, selection.decision.verdicts
    order = np.argsort(table.ids, kind="stable")
    by_verdict = [order[verdicts[order] == word] for word in selection.decision.counts()]
    wanted = list(_in_turn([some[:PER_VERDICT].tolist() for some in by_verdict]))
    if joint is not None:
        wanted += _nearest(selection, joint)
    if chance is not None:
        wanted += np.argsort(np.abs(chance - 0.5), kind="stable")[: min(BORDERLINE, np.isfinite(chance).sum())].tolist()
    if joint is not None:
        wanted += _in_turn(
            [joint.judged[joint.cell == cell][:PER_VERDICT].tolist() for cell in range(len(joint.values))]
        )
    wanted += _in_turn([some[PER_VERDICT:most].tolist() for some in by_verdict])
    return list(dict.fromkeys(wanted))[:most]


def choose_shown(
    store: EvidenceStore, selection: Selection, joint: Joint | None, most: int = SAMPLES
) -> tuple[list[int], Certainty | None]:
    """`choose_samples` with the chances of being selected, and these."""
    certainty = measure_certainty(store, selection, choose_samples(selection, joint, most))
    return choose_samples(selection, joint, most, None if certainty is None else certainty.chance), certainty


def places(joint: Joint | None, wanted: Sequence[int]) -> dict[int, Standing]:
    """Each sample's place."""
    if joint is None:
        return {i: Standing() for i in wanted}
    at = {int(index): number for number, index in enumerate(joint.judged.tolist())}
    found = {}
    for i in wanted:
        j = at.get(i)
        found[i] = (
            Standing()
            if j is None
            else Standing(
                int(joint.cell[j]),
                int(joint.rank[j]),
                bool(joint.cut[j]),
                tuple(int(variant.bins[j]) for variant in joint.variants),
            )
        )
    return found


def _nearest(selection: Selection, joint: Joint) -> list[int]:
    lambda_c = selection.decision.thresholds.get("lambda_c", 0.5)
    gain = np.array([d for d, _ in joint.values])[joint.cell] - lambda_c
    sides = [_closest(joint, -gain, gain <= 0), _closest(joint, gain, gain > 0)]
    own = own_variant(joint, selection.config)
    if own >= 0:
        bins, edge = joint.variants[own].bins, own_edge(joint.variants[own], selection.config)
        known = bins <= len(joint.variants[own].edges)
        away = np.abs(bins - edge - 0.5)
        sides += [_closest(joint, away, known & (bins <= edge)), _closest(joint, away, known & (bins > edge))]
    return list(_in_turn(sides))


def _closest(joint: Joint, distance: NDArray[np.float64], among: NDArray[np.bool_]) -> list[int]:
    here = np.flatnonzero(among)
    nearest = here[np.argsort(distance[here], kind="stable")][:BORDERLINE]
    return joint.judged[nearest].tolist()  # type: ignore[no-any-return]


def _in_turn(lists: Sequence[Sequence[int]]) -> Iterator[int]:
    for place in range(max(map(len, lists), default=0)):
        for some in lists:
            if place < len(some):
                yield some[place]
