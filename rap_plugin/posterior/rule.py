"""What decides over evidence: a configuration with the selector and the scorers that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rap_plugin.config import RunConfig
from rap_plugin.plugins import Registry
from rap_plugin.scorers.base import Score
from rap_plugin.selectors.base import Selector


@dataclass(frozen=True)
class Rule:
    """A selector with its options, and the scores that it looks at."""

    config: RunConfig
    scorers: Mapping[str, Score]
    selector: Selector

    @staticmethod
    def of(config: RunConfig, registry: Registry) -> Rule:
        """The rule that a configuration names."""
        return Rule(config, registry.things["scorers"], registry.get("selectors", config.selection.selector))
