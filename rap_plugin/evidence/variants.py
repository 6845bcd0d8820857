"""The small grid of attention statistics that one measuring pass stores, so that options need no model.

Only names and shapes live here (no torch): scorers look the numbers up, engines compute them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reduction = Literal["window", "suffix"]
Heads = Literal["max", "mean"]

REDUCTIONS: tuple[Reduction, ...] = ("window", "suffix")
HEADS: tuple[Heads, ...] = ("max", "mean")
WINDOWS: tuple[int, ...] = (5, 10, 20)
"""w: rows in a window (reduction `window`), or the least rows a column needs (reduction `suffix`)."""

SIGMA = 2.0
"""sigma: the factor on every attention weight (RAP, arXiv 2506.04755: 2.0); stored statistics use it."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to reduce a response's attention to a number: log psi."""

    reduction: Reduction
    heads: Heads
    window: int

    @property
    def column(self) -> str:
        """Its column in the evidence store, for example `psi_window_max_10`."""
        return f"psi_{self.reduction}_{self.heads}_{self.window}"


VARIANTS: tuple[Variant, ...] = tuple(
    Variant(reduction, heads, window) for reduction in REDUCTIONS for heads in HEADS for window in WINDOWS
)
ENTROPY_COLUMN = "attention_entropy"
"""Mean over usable rows of the entropy of the head-averaged, renormalised attention row, in nats."""

STATISTIC_COLUMNS: tuple[str, ...] = (*(variant.column for variant in VARIANTS), ENTROPY_COLUMN)
