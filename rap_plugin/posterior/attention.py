"""Whether a single response is attention-biased: what following counts of psi."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from rap_plugin.config import AceConfig, RunConfig
from rap_plugin.errors import RapError
from rap_plugin.scorers.attention import sigma_shift, variant_of

PSI_OPTIONS = ("reduction", "heads", "window", "sigma")
"""Options of ACE that make a response's psi another number."""


NAMES = (*(f"ace.{name}" for name in PSI_OPTIONS), "selection.lambda_a")
"""All options of the test, by their dotted names."""


@dataclass(frozen=True)
class AttentionTest:
    """ACE's test of one response: psi above lambda_a (docs/attention.md). Raises RapError for options that have no psi."""

    ace: AceConfig = field(default_factory=AceConfig)
    lambda_a: float = 0.1

    def __post_init__(self) -> None:
        if not self.lambda_a >= 0:
            raise RapError(f"lambda_a={self.lambda_a}: give a psi from 0, above which a response is attention-biased")
        sigma_shift(self.ace)

    @staticmethod
    def of(config: RunConfig) -> AttentionTest:
        """The test that a configuration has. Raises RapError where its lambda_a is known of a whole pool alone."""
        if config.selection.lambda_a == "auto":
            raise RapError("lambda_a 'auto' is a quantile of a whole pool; a training needs a number")
        return AttentionTest(config.ace, config.selection.lambda_a)

    @property
    def log_lambda_a(self) -> float:
        return math.log(self.lambda_a) if self.lambda_a > 0 else -math.inf

    def log_psi(self, statistics: Mapping[str, float | None]) -> float | None:
        """log psi from the statistics of `rollout.Attention`; None where it was not measured."""
        value = statistics[variant_of(self.ace).column]
        return None if value is None else value + sigma_shift(self.ace)

    def biased(self, statistics: Mapping[str, float | None]) -> float | None:
        """1 where the response is attention-biased, 0 where it is not, None where it was not measured."""
        value = self.log_psi(statistics)
        return None if value is None else float(value > self.log_lambda_a)
