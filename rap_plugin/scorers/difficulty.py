"""How often the model fails with the images."""

from __future__ import annotations

import numpy as np

from rap_plugin.config import RunConfig
from rap_plugin.evidence.table import EvidenceTable, Numbers
from rap_plugin.scorers.base import scorer


@scorer("difficulty", arms=("image",))
def difficulty(table: EvidenceTable, config: RunConfig) -> Numbers:
    """Share of wrong image rollouts, in [0, 1], shape (N,); 0 = easy, 1 = never solved (RAP, DRM)."""
    image = table.arms["image"]
    with np.errstate(invalid="ignore", divide="ignore"):
        return (image.graded - image.right) / np.where(image.graded > 0, image.graded, np.nan)
