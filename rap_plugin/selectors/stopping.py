"""Which verdicts can no longer change, however the missing rollouts turn out?

Curtailment stops sampling a sample once its verdict is settled. The bounds rest on one fact: with r of g graded
rollouts right and m missing, the final accuracy lies in [r / (g + m), (r + m) / (g + m)], also when some of the
missing ones end up ungraded. Each function below answers for all samples of a partial table at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rap_plugin.config import RunConfig
from rap_plugin.evidence.table import ArmCounts, Counts, EvidenceTable, Numbers
from rap_plugin.rollout import ARMS, Arm
from rap_plugin.scorers import BUILTIN_SCORERS
from rap_plugin.scorers.alignment import alignment, exact_share
from rap_plugin.selectors.base import Mask, Scores
from rap_plugin.selectors.released import CORE_GAIN, HARD_ALIGNMENT
from rap_plugin.selectors.row_count import changes_size

Wave = tuple[Arm, int]
"""Bring every unsettled sample to so many rollouts in one arm."""


@dataclass(frozen=True)
class StoppingRule:
    """When a selector lets sampling stop for a sample, as in sequential testing with curtailed sampling."""

    waves: Callable[[RunConfig], list[Wave]]
    """The order of sampling; what is unsettled after the last wave gets all its rollouts."""
    settled: Callable[[EvidenceTable, Scores, RunConfig], Mask]
    """(N,) True where the verdict of a sample is final."""


def find_stopping_rule(config: RunConfig) -> StoppingRule | None:
    """The stopping rule of the configured selector, or None where its definition needs every rollout of every sample.

    That is so for a selection that is filled up or cut (the next best come from the whole pool), for a budget of RAP
    and for lambda_a=auto (a threshold comes from the whole pool), for a ranking by a score of both arms, and for
    selectors of plugins, about which nothing is known.
    """
    options = config.selection
    if changes_size(options):
        return None
    if options.selector == "random":
        return StoppingRule(lambda config: [("blind", 1), ("image", 1)], _always)
    if options.selector == "limr" or (options.selector == "top" and _reads_image_only(options.score)):
        return StoppingRule(_image_first, _image_complete)
    if options.selector == "band":
        return StoppingRule(_image_first, _image_complete) if options.keep else StoppingRule(_image_steps, _band)
    if options.selector == "rap" and options.preset == "released":
        return StoppingRule(_released_waves, _released) if options.keep is None else None
    if options.selector == "rap" and options.keep is None:
        fixed = not options.ace or (options.lambda_a != "auto" and config.ace.over_rollouts == "max")
        return StoppingRule(_paper_waves, _paper) if fixed else None
    return None


def _reads_image_only(score: str) -> bool:
    known = BUILTIN_SCORERS.get(score)
    return known is not None and known.arms == ("image",)


def reads_blind(config: RunConfig) -> bool:
    """Whether the selector looks at rollouts without the image. Of those of plugins nothing is known, so they do."""
    options = config.selection
    if options.selector == "top":
        known = BUILTIN_SCORERS.get(options.score)
        return known is None or "blind" in known.arms
    return options.selector not in ("random", "band", "limr", "gap")


def curtails_by_default(config: RunConfig) -> bool:
    """Whether curtailment is on without being asked for: where no verdict depends on other samples' evidence.

    DRM, LIMR and rankings compare samples with the whole pool; there it is left to the user, because a stopped
    sample has no score and a later change of thresholds would need its rollouts after all.
    """
    options = config.selection
    if changes_size(options):
        return False
    if options.selector == "rap":
        return options.preset == "paper" and not options.drm and find_stopping_rule(config) is not None
    return options.selector == "random" or (options.selector == "band" and options.keep is None)


@dataclass(frozen=True)
class Known:
    """What the rollouts so far say of a yes-or-no question: yes, no or open for each sample, (N,) masks."""

    surely: Mask
    """Yes, however the missing rollouts turn out."""
    perhaps: Mask
    """Yes or open."""

    @staticmethod
    def exactly(mask: Mask) -> Known:
        """A question that no rollout can change."""
        return Known(mask, mask)

    @staticmethod
    def nowhere(n: int) -> Known:
        """No, for all N samples."""
        return Known.exactly(np.zeros(n, bool))

    def __and__(self, other: Known) -> Known:
        return Known(self.surely & other.surely, self.perhaps & other.perhaps)

    def __invert__(self) -> Known:
        return Known(~self.perhaps, ~self.surely)


def missing(table: EvidenceTable, arm: Arm) -> Counts:
    """Rollouts of an arm that are not stored yet, (N,)."""
    return np.maximum(table.rollouts - table.arms[arm].stored, 0)


def _judged(table: EvidenceTable, config: RunConfig, arms: Sequence[Arm] = ARMS) -> Known:
    """Whether a sample has an image and ends with enough graded rollouts in these arms."""
    least = config.least_graded
    known = Known.exactly(table.images > 0)
    for arm in arms:
        graded = table.arms[arm].graded
        known &= Known(graded >= least, graded + missing(table, arm) >= least)
    return known


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
    inside = Known((least >= low) & (most <= high), (most >= low) & (least <= high))
    judged = _judged(table, config, ("image",))
    return _settled(~judged, judged & inside, judged & ~inside)


def _settled(*outcomes: Known) -> Mask:
    """(N,) True where one of these outcomes, which exclude each other, is sure."""
    return np.logical_or.reduce([outcome.surely for outcome in outcomes])


def _released_waves(config: RunConfig) -> list[Wave]:
    m = config.sampling.rollouts
    return [("image", m), *(("blind", n) for n in range(config.least_graded, m + 1))]


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
    gains = Known(share - most > CORE_GAIN, share - least > CORE_GAIN)
    judged = _judged(table, config)
    return _settled(~judged, judged & gains, judged & ~gains)


def _paper_waves(config: RunConfig) -> list[Wave]:
    m = config.sampling.rollouts
    # From this many right blind answers on, no image arm can lift D above lambda_c.
    settles = next((n for n in range(1, m + 1) if not 1 - n / m > config.selection.lambda_c), m)
    settles = max(settles, config.least_graded)
    # One image rollout at a time: the first right one settles most of what the text gives away.
    waves: list[Wave] = [("blind", settles), *(("image", n) for n in range(1, m + 1))]
    waves += [("blind", n) for n in range(settles + 1, m + 1)]
    return waves


def _discrepancy(image_right: Counts, image_graded: Counts, blind_right: Counts, blind_graded: Counts) -> Numbers:
    """The scorer's own expression, so that a bound is the double that the full evidence would give."""
    graded = (image_graded * blind_graded).astype(float)
    return (image_right * blind_graded - blind_right * image_graded) / np.maximum(graded, 1)


def _paper(table: EvidenceTable, scores: Scores, config: RunConfig) -> Mask:
    """The masks of `rap.select_paper` with what is known of them so far; a verdict is settled when the open ones
    cannot move it.
    """
    options = config.selection
    judged = _judged(table, config)
    gain = _gain_bounds(table)
    missing_image = missing(table, "image")
    image = table.arms["image"]

    cde = judged & _above(gain, options.lambda_c) if options.cde else judged
    solved = judged & Known(image.right > 0, (image.right > 0) | (missing_image > 0))
    inattentive = _inattentive(table, scores["log_psi"], config)
    core = cde & solved & ~inattentive

    all_right_so_far = image.right == image.graded
    all_right = Known(all_right_so_far & (missing_image == 0), all_right_so_far)
    easy = core & all_right if options.drm else Known.nowhere(len(table))

    candidate = solved & ~core & ~all_right
    if options.hard_requires_confidence:
        candidate &= ~inattentive
    if options.hard_requires_discrepancy:
        candidate &= _above(gain, 0.0)
    hard = _replacements(table, candidate, easy, gain)

    unsolved = judged & ~solved
    language_prior = solved & ~cde & ~hard
    discarded = solved & cde & inattentive & ~hard
    selected = core & ~easy
    return _settled(~judged, unsolved, easy, hard, language_prior, discarded, selected)


def _gain_bounds(table: EvidenceTable) -> tuple[Numbers, Numbers]:
    """The least and the greatest discrepancy that a sample can end with, (N,) each."""
    image, blind = table.arms["image"], table.arms["blind"]
    left_image, left_blind = missing(table, "image"), missing(table, "blind")
    all_image, all_blind = image.graded + left_image, blind.graded + left_blind
    least = _discrepancy(image.right, all_image, blind.right + left_blind, all_blind)
    greatest = _discrepancy(image.right + left_image, all_image, blind.right, all_blind)
    return least, greatest


def _above(bounds: tuple[Numbers, Numbers], threshold: float) -> Known:
    least, greatest = bounds
    return Known(least > threshold, greatest > threshold)


def _inattentive(table: EvidenceTable, log_psi: Numbers, config: RunConfig) -> Known:
    options = config.selection
    if not options.ace:
        return Known.nowhere(len(table))
    threshold = math.log(options.lambda_a) if options.lambda_a != "auto" and options.lambda_a > 0 else -math.inf
    # psi is a maximum over rollouts here, so that more of them can only raise it.
    biased = log_psi > threshold
    more = missing(table, "image") > 0
    if options.unmeasured == "pass":
        return Known(biased, biased | more)
    unmeasured = np.isnan(log_psi)
    return Known(biased | (unmeasured & ~more), biased | unmeasured | more)


def _replacements(table: EvidenceTable, candidate: Known, easy: Known, gain: tuple[Numbers, Numbers]) -> Known:
    """DRM's replacements: the first k candidates in its order, k = the number of easy samples.

    It ties samples together. A candidate is surely one when fewer possible candidates than sure easy samples can be
    ahead of it, when they end at their best and it ends at its worst. It is surely none when at least as many sure
    candidates as possible easy samples are ahead of it, when they end at their worst and it ends at its best.
    """
    image = table.arms["image"]
    left = missing(table, "image")
    rollouts = np.maximum(image.graded + left, 1)
    least, greatest = gain
    worst = (image.graded - image.right) / rollouts, least
    best = (image.graded + left - image.right) / rollouts, greatest
    surely_ahead = _count_ahead(table, best, candidate.surely, worst)
    perhaps_ahead = _count_ahead(table, worst, candidate.perhaps, best)
    return Known(
        candidate.surely & (perhaps_ahead < int(easy.surely.sum())),
        candidate.perhaps & (surely_ahead < int(easy.perhaps.sum())),
    )


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
