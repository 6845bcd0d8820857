"""ACE: does a column of the response's attention stay hot?"""

from __future__ import annotations

import math

from rap_plugin.config import AceConfig, RunConfig
from rap_plugin.errors import RapError
from rap_plugin.evidence.table import EvidenceTable, Numbers
from rap_plugin.evidence.variants import SIGMA, Variant
from rap_plugin.scorers.base import scorer


@scorer("log_psi", arms=("image",))
def log_psi(table: EvidenceTable, config: RunConfig) -> Numbers:
    """log psi of each sample under the configured variant, shape (N,); NaN where not measured.

    psi is the attention confidence of RAP (arXiv 2506.04755), a column product as in OPERA (CVPR 2024);
    docs/attention.md defines the reductions. The stored numbers use sigma = 2. A window's product has
    exactly w factors, so another sigma only shifts its logarithm by w * log(sigma / 2); the suffix
    reduction's columns differ in length, so there another sigma would need another measurement.
    """
    ace = config.ace
    return table.statistic(variant_of(ace).column, ace.over_rollouts) + sigma_shift(ace)


def variant_of(ace: AceConfig) -> Variant:
    """The statistic that these options look up."""
    return Variant(ace.reduction, ace.heads, ace.window)


def sigma_shift(ace: AceConfig) -> float:
    """What their sigma adds to the stored logarithm. Raises RapError where that is no constant."""
    if ace.sigma == SIGMA:
        return 0.0
    if ace.reduction == "suffix":
        raise RapError(
            f"ace.sigma={ace.sigma}: evidence of the suffix reduction holds for sigma={SIGMA} only; use ace.reduction=window"
        )
    return ace.window * math.log(ace.sigma / SIGMA)


@scorer("attention_entropy", arms=("image",))
def attention_entropy(table: EvidenceTable, config: RunConfig) -> Numbers:
    """Mean entropy of the response's attention rows in nats, shape (N,); NaN where not measured.

    The alternative proxy that reviewers of RAP asked for: low entropy means attention on few tokens.
    """
    return table.entropy()
