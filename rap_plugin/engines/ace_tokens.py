"""Attention token by token: which of a response's own tokens its later tokens look at, for one variant of ACE.

psi is the largest of what `measure_tokens` gives, on the same weights (`engines.ace`): for pages that show where a
response's attention sits, of few responses at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rap_plugin.engines.ace import SCRATCH_BYTES, TINY, head_rows, normalise_rows
from rap_plugin.evidence.variants import SIGMA, Variant

NOT_A_COLUMN = math.nan


@dataclass(frozen=True)
class ColumnShares:
    """One response's usable tokens, R of them."""

    shares: list[float]
    """(R,) geometric mean of the attention that a token gets over its best w rows (`window`), or over all its rows
    (`suffix`), in [0, 1]; NaN for a token with too few later rows."""
    hot: int
    """The token that psi is of: sigma times its share, to the power of the number of rows, is psi."""


def measure_tokens(
    query: Tensor,
    key: Tensor,
    scaling: float,
    variant: Variant,
    *,
    rows: Sequence[int],
    starts: Sequence[int] | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
) -> list[ColumnShares | None]:
    """The shares of N responses, None for one of fewer than two usable rows; arguments as of `engines.ace.measure`.

    One response after the other. Memory: R x R floats beside the scratch of `head_rows`.
    """
    found: list[ColumnShares | None] = []
    first = key.shape[2] - query.shape[2]
    chunk = max(1, SCRATCH_BYTES.get(query.device.type, 2**24) // (4 * query.shape[1] * key.shape[2]))
    for n, count in enumerate(rows):
        if count < 2:
            found.append(None)
            continue
        logs = torch.full((count, count), -math.inf, device=query.device)
        for begin in range(0, count, chunk):
            end = min(begin + chunk, count)
            top, mean = head_rows(
                query[n : n + 1, :, begin:end],
                key[n : n + 1, :, : first + end],
                scaling,
                starts=None if starts is None else starts[n : n + 1],
                sliding_window=sliding_window,
                softcap=softcap,
            )
            weights = normalise_rows(top) if variant.heads == "max" else mean
            logs[begin:end, :end] = weights[0, :, first:].clamp_min(TINY).log()
        found.append(shares_of(logs.cpu().double(), variant))
    return found


def shares_of(logs: Tensor, variant: Variant) -> ColumnShares:
    """From the logarithms of the weights A_ij, (R, R) float64, j <= i (the rest is not looked at), to shares.

    As in `engines.ace`: where no window or column is long enough, the one column that all rows see stands for all.
    """
    count, width = len(logs), variant.window
    below = torch.tril(torch.ones(count, count, dtype=torch.bool))
    logs = logs.masked_fill(~below, 0.0)
    shares = torch.full((count,), NOT_A_COLUMN, dtype=torch.float64)
    if count < width or (variant.reduction == "suffix" and count <= width):
        shares[0] = logs[:, 0].mean().exp()
        return ColumnShares(shares.tolist(), 0)
    sums = torch.cat((logs.new_zeros(1, count), logs.cumsum(dim=0)))
    if variant.reduction == "window":
        windows = sums[width:] - sums[:-width]
        start = torch.arange(len(windows))[:, None]
        best = windows.masked_fill(start < torch.arange(count), -math.inf).amax(dim=0)
        known = best > -math.inf
        shares[known] = (best[known] / width).exp()
        return ColumnShares(shares.tolist(), int(best.argmax()))
    later = count - torch.arange(count)  # rows of each column, its own among them
    known = later > width
    totals = (sums[-1] + later * math.log(SIGMA)).masked_fill(~known, -math.inf)
    shares[known] = (sums[-1][known] / later[known]).exp()
    return ColumnShares(shares.tolist(), int(totals.argmax()))
