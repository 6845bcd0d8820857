"""What the rollouts at hand say of each verdict's samples: posterior success in every arm, with its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rap_plugin.posterior.beta import fit
from rap_plugin.report.words import kind_of, verdict_word
from rap_plugin.selectors.base import Selection

ARM_WORDS = {"image": "with the image", "blind": "without", "facts": "with the facts in words"}


@dataclass(frozen=True)
class KnownRow:
    """One verdict: numbers are means over its samples."""

    verdict: str
    kind: str
    title: str
    rollouts: float
    """Stored rollouts of a sample, all arms together."""
    success: tuple[tuple[float, float, float], ...]
    """By arm: posterior mean, and the 5 % and 95 % quantiles of a sample."""
    probability: float | None
    """Of being selected by the full run; None where this is the full run."""


def known_rows(selection: Selection) -> list[KnownRow]:
    """A row for every verdict of samples with an image."""
    table = selection.table
    arms = list(table.arms.values())
    if not len(table):
        return []
    posterior = fit(np.stack([arm.right for arm in arms], axis=1), np.stack([arm.graded for arm in arms], axis=1))
    numbers = [(posterior.mean(i), *posterior.interval(i)) for i in range(len(arms))]
    stored = np.sum([arm.stored for arm in arms], axis=0)
    probability = selection.scores.get("probability")
    rows = []
    for name in selection.decision.counts():
        here = (selection.decision.verdicts == name) & (table.images > 0)
        if not here.any():
            continue
        rows.append(
            KnownRow(
                name,
                kind_of(name),
                verdict_word(name, selection.config.selection.selector).title,
                float(stored[here].mean()),
                tuple(tuple(float(values[here].mean()) for values in arm) for arm in numbers),  # type: ignore[misc]
                None if probability is None else float(probability[here].mean()),
            )
        )
    return rows
