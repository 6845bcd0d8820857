"""From usable columns back to a response's tokens, and from tokens to the characters of its text."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

from rap_plugin.engines.ace import usable_span
from rap_plugin.engines.ace_tokens import ColumnShares
from rap_plugin.rollout import TokenAttention

BEFORE = 8
"""Tokens that are decoded with each, since a character may take several."""


def token_attention(
    token_ids: Sequence[int], columns: ColumnShares, end_ids: Collection[int], decode: Callable[..., str]
) -> TokenAttention:
    """The shares of all sampled tokens of a response, and where each ends in its text."""
    start, stop = usable_span(token_ids, end_ids)
    shares = [math.nan] * len(token_ids)
    shares[start:stop] = columns.shares
    return TokenAttention(tuple(shares), start + columns.hot, tuple(ends_of(token_ids, decode)))


def ends_of(token_ids: Sequence[int], decode: Callable[..., str]) -> list[int]:
    """Characters up to and with each token, as the whole response decodes without special tokens."""
    ends: list[int] = []
    total = 0
    for at in range(len(token_ids)):
        before = token_ids[max(0, at - BEFORE) : at]
        grown = len(decode([*before, token_ids[at]], skip_special_tokens=True))
        total += max(0, grown - len(decode(list(before), skip_special_tokens=True)))
        ends.append(total)
    return ends
