"""RAP as the released script computes it: no attention, a LIMR score, a seeded draw of hard samples."""

from __future__ import annotations

import random

import numpy as np

from rap_plugin.config import RunConfig
from rap_plugin.errors import RapError
from rap_plugin.evidence.table import EvidenceTable
from rap_plugin.scorers.alignment import exact_share, mean_in_order
from rap_plugin.selectors.base import Decision, Scores, blank_verdicts, judged, mostly_cut

CORE_ALIGNMENT = 0.6
CORE_GAIN = 0.2
HARD_ALIGNMENT = 0.85
HARD_GAIN_ONE_RIGHT = 0.2
HARD_GAIN_ALONE = 0.6
HARD_SHARE = 0.1


def select_released(table: EvidenceTable, scores: Scores, config: RunConfig) -> Decision:
    """The released script's selection, bit for bit on IEEE doubles (METHOD of the released RAP code).

    a, t = share of image / blind rewards exactly 1; b = mean a, g = mean a - mean t, in dataset order;
    s = 1 - (a - b)^2 / (1 - b)^2. Easy = all image rewards >= 0.9; right1 = exactly one.
    core = {s >= 0.6 and a - t > 0.2} minus easy. Hard pool = ({s >= 0.85 and (a - t > g or (right1 and
    a - t >= 0.2))} or {right1 and a - t >= 0.6}) and right1, of which random.Random(42) draws a tenth,
    in dataset order. It depends on row order by its own definition.
    """
    if config.selection.keep is not None:
        raise RapError("selection.keep: preset released fixes its thresholds; use preset paper for a budget")
    pictured = table.images > 0
    at = np.flatnonzero(pictured)
    a = exact_share(table, "image")[at]
    t = exact_share(table, "blind")[at]
    b = mean_in_order(a)
    g = b - mean_in_order(t)
    gain = a - t
    aligned = scores["alignment"][at]
    high = table.arms["image"].high[at]
    easy = high == table.rollouts
    right1 = high == 1

    qualified = (aligned >= CORE_ALIGNMENT) & (gain > CORE_GAIN)
    core = qualified & ~easy
    hard_pool = (
        (aligned >= HARD_ALIGNMENT) & ((gain > g) | (right1 & (gain >= HARD_GAIN_ONE_RIGHT)))
        | (right1 & (gain >= HARD_GAIN_ALONE))
    ) & right1
    pool = np.flatnonzero(hard_pool).tolist()
    drawn = random.Random(config.selection.seed).sample(pool, int(HARD_SHARE * len(pool)))

    enough = judged(table, config)
    verdicts, reasons = blank_verdicts(table, enough)
    local = np.full(len(at), "not_chosen", dtype="U16")
    local[gain <= CORE_GAIN] = "language_prior"
    local[a == 0] = "unsolved"
    local[(a == 0) & mostly_cut(table)[at]] = "cut_off"
    local[qualified & easy] = "easy"
    # A sample both in the core and drawn counts as core: the selection is their union.
    local[drawn] = "hard_replacement"
    local[core] = "selected"
    for i, k in enumerate(at):
        if not enough[k]:
            continue
        verdicts[k] = local[i]
        reasons[k] = f"alignment {aligned[i]:.3f}, exact reward {a[i]:.0%} with the image, {t[i]:.0%} without"
    notes = ["preset released computes no ACE; its hard pool depends on row order"]
    if not pool:
        notes.append(f"its hard pool is empty (mean reward b = {b:.2f}; empty by definition above about 0.42)")
    return Decision(
        verdicts, reasons, {"b": b, "g": g, "core_alignment": CORE_ALIGNMENT, "core_gain": CORE_GAIN}, notes
    )
