"""Accuracy of each arm."""

from __future__ import annotations

from rap_plugin.config import RunConfig
from rap_plugin.evidence.table import EvidenceTable, Numbers
from rap_plugin.scorers.base import scorer


@scorer("acc_image", arms=("image",))
def accuracy_image(table: EvidenceTable, config: RunConfig) -> Numbers:
    """Share of right answers with the images, (N,); NaN for text-only samples."""
    return table.arms["image"].accuracy


@scorer("acc_blind", arms=("blind",))
def accuracy_blind(table: EvidenceTable, config: RunConfig) -> Numbers:
    """Share of right answers without them, (N,); NaN for text-only samples."""
    return table.arms["blind"].accuracy
