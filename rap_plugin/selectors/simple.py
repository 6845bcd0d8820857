"""Selectors with one criterion: the baselines that RAP is compared with."""

from __future__ import annotations

import numpy as np

from rap_plugin.config import RunConfig
from rap_plugin.errors import RapError
from rap_plugin.evidence.table import EvidenceTable
from rap_plugin.rollout import ARMS
from rap_plugin.scorers import BUILTIN_SCORERS
from rap_plugin.scorers.success import IMAGE_WEIGHT, STRENGTH, shared_posteriors, worth_of
from rap_plugin.selectors.base import Decision, Mask, Numbers, Scores, blank_verdicts, budget, draw, judged, place

DEFAULT_KEEP = 0.1
"""Share of the pool that selectors without a threshold keep when no budget is given: RAP's own is 9.39 %."""


def select_random(table: EvidenceTable, scores: Scores, config: RunConfig) -> Decision:
    """The same number of samples at random: the baseline that every selection must beat."""
    lots = draw(config.selection.seed, table.ids)
    wanted = budget(config.selection.keep, table, DEFAULT_KEEP)
    # It judges no rollout, so that it needs none.
    return _take(table, table.images > 0, np.ones(len(table), bool), lots, wanted, "drawn at random", "not drawn")


def select_band(table: EvidenceTable, scores: Scores, config: RunConfig) -> Decision:
    """Image accuracy inside a band: neither always nor never solved. With a budget, nearest to its middle first."""
    low, high = config.selection.band
    accuracy = scores["acc_image"]
    inside = (accuracy >= low) & (accuracy <= high)
    order = np.abs(accuracy - (low + high) / 2)
    named = f"image accuracy in [{low:g}, {high:g}]"
    enough = judged(table, config, ("image",))
    decision = _take(table, enough, inside, order, budget(config.selection.keep, table), named, f"not within {named}")
    decision.thresholds = {"band_low": low, "band_high": high}
    return decision


def select_limr(table: EvidenceTable, scores: Scores, config: RunConfig) -> Decision:
    """Samples aligned with the pool's mean reward (LIMR, arXiv 2502.11886), from one round of evidence.

    LIMR itself follows the rewards over the epochs of a training run, which a selection before training cannot.
    """
    threshold = config.selection.limr_threshold
    scored = _steady(scores["alignment"])
    inside = scored >= threshold
    named = f"alignment of at least {threshold:g}"
    enough = judged(table, config, ("image",))
    decision = _take(table, enough, inside, -scored, budget(config.selection.keep, table), named, f"no {named}")
    decision.thresholds = {"limr_threshold": threshold}
    return decision


def select_top(table: EvidenceTable, scores: Scores, config: RunConfig) -> Decision:
    """The highest values of any one score (`selection.score`), a plugin's included."""
    name = config.selection.score
    if name not in scores:
        raise RapError(f"selection.score: unknown score {name!r}; known: {', '.join(scores)}")
    values = _steady(scores[name]) if name == "alignment" else scores[name]
    wanted = budget(config.selection.keep, table, DEFAULT_KEEP)
    known = BUILTIN_SCORERS.get(name)
    enough = judged(table, config, known.arms if known else ARMS)
    return _take(
        table, enough, ~np.isnan(values), -values, wanted, f"among the highest {name}", f"lower {name}, or none"
    )


def select_gap(table: EvidenceTable, scores: Scores, config: RunConfig) -> Decision:
    """Samples that are right with the facts in words and wrong in the image alone: what reading the image costs.

    Kept where accuracy(facts) - accuracy(image) is above `selection.lambda_c`; with a budget the largest gaps first.
    """
    threshold, gap = config.selection.lambda_c, scores["modality_gap"]
    named = f"modality gap above {threshold:g}"
    enough = judged(table, config, ("facts", "image"))
    decision = _take(table, enough, gap > threshold, -gap, budget(config.selection.keep, table), named, f"no {named}")
    decision.thresholds = {"lambda_c": threshold}
    return decision


def _steady(alignment: Numbers) -> Numbers:
    """Alignment without its last digits: the pool's mean in it is added up in the order of rows, which may decide nothing."""
    return np.round(alignment, 12)


def select_follow(table: EvidenceTable, scores: Scores, config: RunConfig) -> Decision:
    """What following would ask first: the highest worth in one draw from the posteriors (docs/following.md).

    A group has as many responses as scoring; the whole pool shares strength, since the table knows no wording.
    """
    order = np.argsort(table.ids)  # so that a draw does not depend on the order of rows
    random = np.random.Generator(np.random.Philox(key=[config.selection.seed, 0]))
    everyone_alike = np.zeros(len(table), dtype=np.int64)
    image, blind = (
        shared_posteriors(everyone_alike, counts.right.astype(float), counts.graded.astype(float), STRENGTH)
        for counts in (table.arms[arm] for arm in ARMS)
    )
    success = np.empty(len(table))
    success[order] = random.beta(image[0][order], image[1][order])
    worth = worth_of(success, blind[0] / (blind[0] + blind[1]), table.rollouts, IMAGE_WEIGHT)
    wanted = budget(config.selection.keep, table, DEFAULT_KEEP)
    everyone = np.ones(len(table), bool)
    yes, no = "drawn by the posterior of both arms", "not drawn"
    decision = _take(table, judged(table, config), everyone, -worth, wanted, yes, no)
    decision.notes.append(
        "these are the rows of one draw, and stay as they are; a training draws anew for every batch with follow(..) in TRL, "
        "--rap.follow in OpenRLHF and +data.rap.follow=True in verl"
    )
    return decision


def _take(
    table: EvidenceTable, judged: Mask, inside: Mask, order: Numbers, wanted: int | None, yes: str, no: str
) -> Decision:
    """Takes at most `wanted` of the `judged` samples that are `inside`, lowest `order` first, ties by id.

    The order does not depend on the budget, so that a smaller one takes a part of what a larger one takes.
    """
    verdicts, reasons = blank_verdicts(table, judged)
    ranked = place(inside & judged, np.nan_to_num(order), table.ids)
    taken = ranked if wanted is None else ranked[:wanted]
    verdicts[taken] = "selected"
    for i in np.flatnonzero(judged):
        reasons[i] = no
    for i in ranked:
        reasons[i] = f"{yes}, but over the budget of {wanted}"
    for i in taken:
        reasons[i] = yes
    notes = []
    if wanted is not None and len(taken) < wanted:
        notes.append(f"the budget is {wanted} samples, but only {len(taken)} qualify ({yes})")
    return Decision(verdicts, reasons, notes=notes, order=order)
