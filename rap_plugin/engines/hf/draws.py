"""Which token a uniform number draws: inverse transform sampling, after temperature and top_p.

Draws are our own, so that a rollout depends on its seed and the model's logits alone: uniforms of a counter-based
generator, one a token, through the inverse of the cumulative distribution. The model itself is sampled; other warpers
that a generation_config may ask for (top_k, penalties) are not applied.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def cumulative_dtype(device: torch.device) -> torch.dtype:
    """float64 where the device has it: MPS has not."""
    return torch.float32 if device.type == "mps" else torch.float64


def uniform_draws(seed: int, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """`count` uniforms in [0, 1) of one rollout; a longer limit only adds to them."""
    return np.random.Generator(np.random.Philox(seed)).random(count)


def draw_tokens(logits: Tensor, uniforms: Tensor, temperature: float, top_p: float) -> Tensor:
    """One token per row by inverse transform sampling: the first whose cumulative probability exceeds u.

    logits (N, V), uniforms (N,) in [0, 1); returns (N,) token ids, -1 where the logits are not finite numbers.
    top_p keeps the smallest set of most probable tokens whose probability reaches it. Temperature 0 takes the most
    probable token, the first of equals.
    """
    if temperature == 0:
        finite = torch.isfinite(logits.float().logsumexp(dim=-1))
        return torch.where(finite, logits.argmax(dim=-1), -1)
    wide = cumulative_dtype(logits.device)
    probabilities = torch.softmax(logits.float() / temperature, dim=-1)
    order = None
    if top_p < 1.0:
        probabilities, order = probabilities.sort(dim=-1, descending=True, stable=True)
        before = probabilities.cumsum(dim=-1, dtype=wide) - probabilities
        probabilities = probabilities.masked_fill(before >= top_p, 0.0)
    cumulative = probabilities.cumsum(dim=-1, dtype=wide)
    total = cumulative[:, -1:]
    # Strictly below the total, whatever the rounding: else a token of probability zero could be drawn at the end.
    target = torch.minimum(uniforms[:, None].to(wide) * total, torch.nextafter(total, torch.zeros_like(total)))
    tokens = torch.searchsorted(cumulative, target, right=True).clamp_max(logits.shape[-1] - 1)
    if order is not None:
        tokens = order.gather(-1, tokens)
    return torch.where(torch.isfinite(total), tokens, -1)[:, 0]
