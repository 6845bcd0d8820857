"""The attention statistics that a configuration reads."""

from __future__ import annotations

from rap_plugin.config import RunConfig
from rap_plugin.evidence.table import StatisticName
from rap_plugin.evidence.variants import ENTROPY_COLUMN, Variant


def statistics_of(config: RunConfig) -> list[StatisticName]:
    """psi under the configured variant, and the entropy."""
    psi = Variant(config.ace.reduction, config.ace.heads, config.ace.window).column
    return [(psi, config.ace.over_rollouts), (ENTROPY_COLUMN, "mean")]
