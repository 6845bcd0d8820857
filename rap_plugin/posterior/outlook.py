"""What the full run would decide, as probabilities: the selector itself over many completions of the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rap_plugin.errors import NoFittingSize
from rap_plugin.evidence.table import Counts, EvidenceTable, Numbers
from rap_plugin.posterior.beta import Posterior
from rap_plugin.posterior.completion import Completions, Rollouts
from rap_plugin.posterior.rule import Rule
from rap_plugin.rollout import Arm
from rap_plugin.selectors.base import CHOSEN
from rap_plugin.selectors.curtailed import decide

OWN_DRAWS = 16
"""Draws that a sample's own share counts for against one: the rest is the share of all samples with its counts."""


@dataclass(frozen=True)
class Outlook:
    """What S completions say of N samples."""

    posterior: Posterior
    probability: Numbers
    """(N,) of being selected, smoothed over samples with the same counts."""
    words: tuple[str, ...]
    times: Counts = field(repr=False)
    """(N, len(words)) in how many completions a sample had each verdict."""
    gain: dict[Arm, Numbers] = field(repr=False)
    """(N,) by arm: how much of the variance of "selected" the next rollout there explains; 0 where none is missing."""
    sizes: Counts
    """(S,) selected samples of each completion."""
    agreements: Numbers
    """(S,) Jaccard index of each completion's selection with `own`; NaN without one."""
    thresholds: dict[str, float]
    """Means over the completions of the thresholds that the selector found."""

    def verdicts(self, chosen: NDArray[np.bool_]) -> NDArray[np.str_]:
        """(N,) the most frequent verdict of those that fit to being chosen or not."""
        inside = np.array([word in CHOSEN for word in self.words])
        fits = inside[None, :] == chosen[:, None]
        best = np.where(fits, self.times, -1).argmax(axis=1)
        found = np.array(self.words)[best]
        never = ~np.take_along_axis(fits & (self.times > 0), best[:, None], axis=1)[:, 0]
        return np.where(never, np.where(chosen, "selected", "not_chosen"), found)


def look_ahead(
    table: EvidenceTable,
    rollouts: Rollouts,
    rule: Rule,
    draws: int,
    seed: int,
    *,
    fresh: bool = False,
    own: NDArray[np.bool_] | None = None,
    on_draw: Callable[[int], None] | None = None,
) -> Outlook:
    """Decides over `draws` completions of the rollouts. Cost: one decision a draw.

    `fresh` draws all rollouts anew, for the agreement of another full run with the selection `own`.
    """
    completions = Completions(table, rollouts, seed)
    n = len(table)
    words: dict[str, int] = {}
    times = np.zeros((n, 0), dtype=np.int64)
    next_at = {arm: columns.counts["stored"].sum(axis=1) for arm, columns in rollouts.items()}
    right = {arm: np.zeros(n) for arm in rollouts}
    both = {arm: np.zeros(n) for arm in rollouts}
    selected = np.zeros(n)
    thresholds: dict[str, list[float]] = {}
    sizes, agreements = np.zeros(draws, dtype=np.int64), np.full(draws, np.nan)
    for number in range(draws):
        full, outcomes = completions.draw(number, fresh=fresh)
        try:
            decision = decide(full, rule.config, rule.scorers, rule.selector)[0]
            verdicts = decision.verdicts
            for name, value in decision.thresholds.items():
                thresholds.setdefault(name, []).append(value)
        except NoFittingSize:  # no number of rows fits the training: it would have none
            verdicts = np.full(n, "not_chosen")
        chosen = np.isin(verdicts, CHOSEN)
        for word in np.unique(verdicts).tolist():
            if word not in words:
                words[word] = len(words)
                times = np.concatenate((times, np.zeros((n, 1), dtype=np.int64)), axis=1)
            times[:, words[word]] += verdicts == word
        selected += chosen
        for arm in rollouts:
            place = np.minimum(next_at[arm], table.rollouts - 1)[:, None]
            outcome = np.take_along_axis(outcomes[arm], place, axis=1)[:, 0]
            right[arm] += outcome
            both[arm] += outcome & chosen
        sizes[number] = chosen.sum()
        if own is not None:
            either = int((own | chosen).sum())
            agreements[number] = (own & chosen).sum() / either if either else 1.0
        if on_draw is not None:
            on_draw(1)
    state = completions.posterior.state
    alike = np.bincount(state).astype(float) * draws
    share = np.bincount(state, selected) / alike
    gain = {}
    for arm in rollouts:
        explained = _explained(
            alike, *(np.bincount(state, part).astype(float) for part in (right[arm], selected, both[arm]))
        )
        gain[arm] = np.where(next_at[arm] < table.rollouts, explained[state], 0.0)
    probability = (selected + OWN_DRAWS * share[state]) / (draws + OWN_DRAWS)
    means = {name: float(np.mean(values)) for name, values in thresholds.items()}
    return Outlook(completions.posterior, probability, tuple(words), times, gain, sizes, agreements, means)


def _explained(n: Numbers, right: Numbers, selected: Numbers, both: Numbers) -> Numbers:
    """Variance of a yes-or-no that another one explains, from their counts among n; less what chance alone would give."""
    p, q = selected / n, right / n
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (both - right * p) ** 2 / (n * n * q * (1 - q))
    found: Numbers = np.maximum(np.nan_to_num(between) - p * (1 - p) / n, 0.0)
    return found
