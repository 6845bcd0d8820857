"""Curtailment: sampling stops for a sample as soon as its verdict is settled."""

from __future__ import annotations

from rap_plugin.config import RunConfig
from rap_plugin.errors import Option, RapError
from rap_plugin.selectors.stopping import StoppingRule, curtails_by_default, find_stopping_rule


def active_stopping_rule(config: RunConfig) -> StoppingRule | None:
    """The stopping rule to sample with under this configuration, None for full sampling.

    Raises RapError where curtailment is asked for but the selector's definition needs every rollout.
    """
    if config.sampling.budget_rollouts is not None:
        if config.sampling.curtail:
            raise RapError(
                Option("sampling.curtail"),
                ": scoring by instalments stops where a verdict is settled as it is; drop it, or ",
                Option("sampling.budget_rollouts"),
            )
        return None
    rule = find_stopping_rule(config)
    if config.sampling.curtail is None:
        return rule if curtails_by_default(config) else None
    if config.sampling.curtail and rule is None:
        raise RapError(
            f"sampling.curtail: selector {config.selection.selector} needs every rollout here (a budget or lambda_a=auto takes "
            "its threshold from the whole pool, and so do rows that fill a selection up; of plugins nothing is known); drop ",
            Option("sampling.curtail"),
            ", or give fixed thresholds",
        )
    return rule if config.sampling.curtail else None
