"""CDE: what the image adds."""

from __future__ import annotations

import numpy as np

from rap_plugin.config import RunConfig
from rap_plugin.evidence.table import EvidenceTable, Numbers
from rap_plugin.scorers.base import scorer


@scorer("discrepancy")
def discrepancy(table: EvidenceTable, config: RunConfig) -> Numbers:
    """D(x) = accuracy(T=1) - accuracy(T=0), in [-1, 1], shape (N,); NaN for text-only samples.

    The causal discrepancy estimator of RAP (arXiv 2506.04755): the treatment T is the image. It is computed
    as one fraction of counts, so that equal counts give the same double in whatever order they came.
    """
    image, blind = table.arms["image"], table.arms["blind"]
    with np.errstate(invalid="ignore", divide="ignore"):
        crossed = image.right * blind.graded - blind.right * image.graded
        graded = (image.graded * blind.graded).astype(float)
        return crossed / np.where(graded > 0, graded, np.nan)
