"""Which verdicts can no longer change, however the missing rollouts turn out?

Curtailment stops sampling a sample once its verdict is settled. The bounds rest on one fact: with r of g graded
rollouts right and m missing, the final accuracy lies in [r / (g + m), (r + m) / (g + m)], also when some of the
missing ones end up ungraded. Each function below answers for all samples of a partial table at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rap_plugin.config import RunConfig
from rap_plugin.evidence.table import ArmCounts, Counts, EvidenceTable, Numbers
from rap_plugin.rollout import Arm
from rap_plugin.scorers.alignment import alignment, exact_share
from rap_plugin.selectors.base import Mask, Scores
from rap_plugin.selectors.released import CORE_GAIN, HARD_ALIGNMENT

Wave = tuple[Arm, int]
"""Bring every unsettled sample to so many rollouts in one arm."""

IMAGE_SCORES = ("acc_image", "difficulty", "alignment", "log_psi", "attention_entropy")
"""Built-in scores that the blind arm does not touch."""


@dataclass(frozen=True)
class Settler:
    """How a selector is curtailed."""

    waves: Callable[[RunConfig], list[Wave]]
    """The order of sampling; what is unsettled after the last wave gets all its rollouts."""
    settled: Callable[[EvidenceTable, Scores, RunConfig], Mask]
    """(N,) True where the verdict of a sample is final."""


def find_settler(config: RunConfig) -> Settler | None:
    """The settler of the configured selector, or None where its definition needs every rollout of every sample.

    That is so for a budget of RAP and for lambda_a=auto (a threshold comes from the whole pool), for a
    ranking by a score of both arms, and for selectors of plugins, about which nothing is known.
    """
    options = config.selection
    if options.selector == "random":
        return Settler(lambda config: [("blind", 1), ("image", 1)], _always)
    if options.selector == "limr" or (options.selector == "top" and options.score in IMAGE_SCORES):
        return Settler(_image_first, _image_complete)
    if options.selector == "band":
        return Settler(_image_first, _image_complete) if options.keep else Settler(_image_steps, _band)
    if options.selector == "rap" and options.preset == "released":
        return Settler(_released_waves, _released) if options.keep is None else None
    if options.selector == "rap" and options.keep is None:
        fixed = not options.ace or (options.lambda_a != "auto" and config.ace.over_rollouts == "max")
        return Settler(_paper_waves, _paper) if fixed else None
    return None


def curtails_by_default(config: RunConfig) -> bool:
    """Whether curtailment is on without being asked for: where no verdict depends on other samples' evidence.

    DRM, LIMR and rankings compare samples with the whole pool; there it is left to the user, because a stopped
    sample has no score and a later change of thresholds would need its rollouts after all.
    """
    options = config.selection
    if options.selector == "rap":
        return options.preset == "paper" and not options.drm and find_settler(config) is not None
    return options.selector == "random" or (options.selector == "band" and options.keep is None)


def missing(table: EvidenceTable, arm: Arm) -> Counts:
    """Rollouts of an arm that are not stored yet, (N,)."""
    return np.maximum(table.rollouts - table.arms[arm].stored, 0)


def _always(table: EvidenceTable, scores: Scores, config: RunConfig) -> Mask:
    return np.ones(len(table), bool)


def _image_complete(table: EvidenceTable, scores: Scores, config: RunConfig) -> Mask:
    done = not missing(table, "image")[table.images > 0].any()
    return np.full(len(table), done) | (table.images == 0)


def _image_first(config: RunConfig) -> list[Wave]:
    return [("image", config.sampling.rollouts), ("blind", 1)]


def _image_steps(config: RunConfig) -> list[Wave]:
    return [("blind", 1), *(("image", n) for n in (2, 3, config.sampling.rollouts) if n <= config.sampling.rollouts)]


def _accuracy_bounds(counts: ArmCounts, left: Counts) -> tuple[Numbers, Numbers]:
    total = np.maximum(counts.graded + left, 1)
    return counts.right / total, (counts.right + left) / total


def _band(table: EvidenceTable, scores: Scores, config: RunConfig) -> Mask:
    low, high = config.selection.band
    least, most = _accuracy_bounds(table.arms["image"], missing(table, "image"))
    inside = (least >= low) & (most <= high)
    outside = (most < low) | (least > high)
    return inside | outside | (table.images == 0)


def _released_waves(config: RunConfig) -> list[Wave]:
    m = config.sampling.rollouts
    return [("image", m), ("blind", 1), *(("blind", n) for n in range(2, m + 1))]


def _released(table: EvidenceTable, scores: Scores, config: RunConfig) -> Mask:
    """The image arm is needed whole (b is its mean); of the blind arm only on which side of 0.2 the gain lies.

    Unless a sample could be in the hard pool: then g, the mean gain of the pool, is needed, and with it everything.
    """
    pictured = table.images > 0
    if missing(table, "image")[pictured].any():
        return ~pictured
    image, left = table.arms["image"], missing(table, "blind")
    maybe_hard = pictured & (image.high == 1) & (alignment(table, config) >= HARD_ALIGNMENT)
    if maybe_hard.any() and left[pictured].any():
        return ~pictured
    share = exact_share(table, "image")
    least = table.arms["blind"].exact / table.rollouts
    most = (table.arms["blind"].exact + left) / table.rollouts
    gains = share - most > CORE_GAIN
    gains_not = ~(share - least > CORE_GAIN)
    return gains | gains_not | ~pictured


def _paper_waves(config: RunConfig) -> list[Wave]:
    m = config.sampling.rollouts
    # From this many right blind answers on, no image arm can lift D above lambda_c.
    settles = next((n for n in range(1, m + 1) if not 1 - n / m > config.selection.lambda_c), m)
    # One image rollout at a time: the first right one settles most of what the text gives away.
    waves: list[Wave] = [("blind", settles), *(("image", n) for n in range(1, m + 1))]
    waves += [("blind", n) for n in range(settles + 1, m + 1)]
    return waves


def _discrepancy(image_right: Counts, image_graded: Counts, blind_right: Counts, blind_graded: Counts) -> Numbers:
    """The scorer's own expression, so that a bound is the double that the full evidence would give."""
    graded = (image_graded * blind_graded).astype(float)
    return (image_right * blind_graded - blind_right * image_graded) / np.maximum(graded, 1)


def _paper(table: EvidenceTable, scores: Scores, config: RunConfig) -> Mask:
    """Each test's outcome is yes, no or open; a verdict is settled when the open ones cannot move it.

    DRM ties samples together: x is surely no replacement once at least as many sure candidates as there
    can be easy samples are ahead of it, at their worst and its best; and surely one the other way round.
    """
    options = config.selection
    pictured = table.images > 0
    image, blind = table.arms["image"], table.arms["blind"]
    left, left_blind = missing(table, "image"), missing(table, "blind")
    all_graded, all_blind = image.graded + left, blind.graded + left_blind

    highest = _discrepancy(image.right + left, all_graded, blind.right, all_blind)
    lowest = _discrepancy(image.right, all_graded, blind.right + left_blind, all_blind)
    passes = lowest > options.lambda_c if options.cde else pictured
    fails = ~(highest > options.lambda_c) if options.cde else ~pictured
    solved, unsolved = image.right > 0, (image.right == 0) & (left == 0)
    threshold = math.log(options.lambda_a) if options.lambda_a != "auto" and options.lambda_a > 0 else -math.inf
    # More rollouts can only raise the maximum of psi.
    biased = (scores["log_psi"] > threshold) if options.ace else np.zeros(len(table), bool)
    unbiased = ~biased & ((left == 0) | (not options.ace))

    core = passes & solved & unbiased
    not_core = fails | biased | unsolved
    all_right = image.right == image.graded
    easy = core & all_right & (left == 0) & options.drm
    maybe_easy = pictured & ~fails & ~biased & all_right & options.drm
    may_stray = not options.ace or not options.hard_requires_confidence
    hard_gain = lowest > 0 if options.hard_requires_discrepancy else pictured
    maybe_gain = highest > 0 if options.hard_requires_discrepancy else pictured
    candidate = pictured & solved & (unbiased | may_stray) & not_core & ~all_right & hard_gain
    maybe_candidate = pictured & ~unsolved & ~core & (~biased | may_stray) & ~((left == 0) & all_right) & maybe_gain

    worst = (all_graded - image.right - left) / np.maximum(all_graded, 1), lowest
    best = (all_graded - image.right) / np.maximum(all_graded, 1), highest
    ahead = _count_ahead(table, best, candidate, worst)
    maybe_ahead = _count_ahead(table, worst, maybe_candidate, best)
    never_hard = ~maybe_candidate | (ahead >= int(maybe_easy.sum()))
    surely_hard = candidate & (maybe_ahead < int(easy.sum()))

    settled = unsolved | easy | surely_hard
    settled |= fails & solved & never_hard
    settled |= passes & biased & solved & never_hard
    settled |= core & (~all_right if options.drm else True)
    return settled | ~pictured


def _count_ahead(
    table: EvidenceTable, mine: tuple[Numbers, Numbers], others: Mask, theirs: tuple[Numbers, Numbers]
) -> Counts:
    """For every sample x: how many of the `others`, x itself left out, have a key before x's in DRM's order.

    Keys are (difficulty, discrepancy) pairs: harder first, then higher D, then id. `mine` is taken for x and
    `theirs` for the others. O(N log N): one sort of both kinds of entries, x before an equal one.
    """
    n = len(table)
    rank = np.argsort(np.argsort(table.ids))
    at = np.flatnonzero(others)
    difficulty = np.concatenate((mine[0], theirs[0][at]))
    gain = np.concatenate((mine[1], theirs[1][at]))
    order = np.lexsort((np.arange(n + len(at)) >= n, np.concatenate((rank, rank[at])), -gain, -difficulty))
    is_other = order >= n
    before = np.cumsum(is_other)
    counts = np.zeros(n, dtype=np.int64)
    counts[order[~is_other]] = before[~is_other]
    itself = (theirs[0] > mine[0]) | ((theirs[0] == mine[0]) & (theirs[1] > mine[1]))
    return counts - (others & itself)
