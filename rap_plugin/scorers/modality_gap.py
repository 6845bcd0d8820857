"""What the image costs: accuracy with the facts in words against the image alone (arXiv 2510.22836)."""

from __future__ import annotations

import numpy as np

from rap_plugin.config import RunConfig
from rap_plugin.evidence.table import EvidenceTable, Numbers
from rap_plugin.scorers.base import scorer


@scorer("acc_facts", arms=("facts",))
def accuracy_facts(table: EvidenceTable, config: RunConfig) -> Numbers:
    """Share of right answers with the facts in words beside the images, (N,); NaN where the arm was not sampled."""
    return table.arms["facts"].accuracy if "facts" in table.arms else np.full(len(table), np.nan)


@scorer("modality_gap", arms=("facts", "image"))
def modality_gap(table: EvidenceTable, config: RunConfig) -> Numbers:
    """accuracy(facts in words) - accuracy(image alone), in [-1, 1], (N,); NaN where an arm was not sampled.

    One fraction of counts, as the discrepancy is.
    """
    if "facts" not in table.arms:
        return np.full(len(table), np.nan)
    facts, image = table.arms["facts"], table.arms["image"]
    with np.errstate(invalid="ignore", divide="ignore"):
        crossed = facts.right * image.graded - image.right * facts.graded
        graded = (facts.graded * image.graded).astype(float)
        return crossed / np.where(graded > 0, graded, np.nan)
