"""A selection from part of the rollouts: the samples that the full run would most probably select."""

from __future__ import annotations

import numpy as np

from rap_plugin.evidence.table import Numbers
from rap_plugin.posterior.instalments import Step, completions_for
from rap_plugin.posterior.outlook import Outlook, look_ahead
from rap_plugin.posterior.rule import Rule
from rap_plugin.scorers.base import arms_of
from rap_plugin.selectors.base import Decision
from rap_plugin.selectors.curtailed import compute_scores, without_means
from rap_plugin.selectors.row_count import bring_to_size

FINAL = 4
"""Completions that a decision takes for one that an instalment is placed by."""


def decide_from_part(step: Step, rule: Rule, budget: int) -> tuple[Decision, dict[str, Numbers]]:
    """The decision and the scores. As many samples are selected as overlap best with the full run's (`best_size`).

    A sample that was not sampled to the end has NaN for the scores that need its missing rollouts. The scores
    `probability` (of being selected by the full run) and `posterior_ARM` (mean success) are there for all.
    """
    table, config = step.table, rule.config
    outlook = look_ahead(table, step.rollouts, rule, FINAL * completions_for(len(table)), config.sampling.seed)
    image = table.arms["image"]
    can_be = step.looked_at & (image.graded > 0)
    probability = np.where(can_be, outlook.probability, 0.0)
    # A selector with a budget of its own has one size, whatever the overlap.
    size = int(np.clip(best_size(probability), outlook.sizes.min(), outlook.sizes.max()))
    size = min(size, int(can_be.sum()))
    chosen = np.zeros(len(table), dtype=bool)
    chosen[np.lexsort((table.ids, -probability))[:size]] = True
    verdicts = outlook.verdicts(chosen)
    verdicts[(table.images > 0) & ~step.looked_at] = "not_chosen"
    verdicts[step.looked_at & (image.graded == 0)] = "too_few_graded"
    verdicts[table.images == 0] = "text_only"
    decision = Decision(
        verdicts.astype("U16"),
        _reasons(step, probability),
        outlook.thresholds,
        _notes(step, outlook, budget),
        order=-probability,
    )
    scores = compute_scores(table, config, rule.scorers)
    bring_to_size(decision, table, scores, config.selection)
    scores = without_means(table, scores, {name: arms_of(score) for name, score in rule.scorers.items()})
    pictured = table.images > 0
    scores["probability"] = np.where(pictured, probability, np.nan)
    for i, arm in enumerate(step.rollouts):
        scores[f"posterior_{arm}"] = np.where(pictured, outlook.posterior.mean(i), np.nan)
    return decision, scores


def best_size(probability: Numbers) -> int:
    """How many samples, the most probable first, have the highest expected overlap with the full run's selection.

    The overlap is the Jaccard index; its mean is taken as the quotient of the means. A sample belongs to the selection when its
    probability is above J / (1 + J): about one half where nearly all is known, less where little is.
    """
    expected = np.cumsum(np.sort(probability)[::-1])
    if not len(expected) or not expected[-1]:
        return 0
    either = np.arange(1, len(expected) + 1) + expected[-1] - expected
    return int((expected / either).argmax()) + 1


def _reasons(step: Step, probability: Numbers) -> list[str]:
    words = {"image": "with the image", "blind": "without", "facts": "with the facts in words"}
    looked_at, pictured = step.looked_at.tolist(), (step.table.images > 0).tolist()
    counts = {arm: (c.right.tolist(), c.graded.tolist()) for arm, c in step.table.arms.items()}
    reasons = []
    for i, share in enumerate(probability.tolist()):
        if not pictured[i]:
            reasons.append("no image, so no discrepancy is possible")
        elif not looked_at[i]:
            reasons.append("not looked at: the budget has room for a first look at part of the pool")
        else:
            seen = ", ".join(f"{right[i]} of {graded[i]} right {words[arm]}" for arm, (right, graded) in counts.items())
            reasons.append(f"{seen}: the full run would select it with probability {share:.2f}")
    return reasons


def _notes(step: Step, outlook: Outlook, budget: int) -> list[str]:
    whole = int((step.table.images > 0).sum()) * step.table.rollouts * len(step.rollouts)
    low, high = np.quantile(outlook.sizes, [0.05, 0.95]).tolist()
    notes = [
        f"scored by instalments: {step.spent:,} of {whole:,} rollouts ({step.spent / max(whole, 1):.0%}); the full run would "
        f"select {low:,.0f} to {high:,.0f} samples (90% interval)"
    ]
    if left := int((step.table.images > 0).sum() - step.looked_at.sum()):
        notes.append(f"{left:,} samples were not looked at: the budget of {budget:,} rollouts has no room for them")
    return notes
