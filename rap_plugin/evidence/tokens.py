"""On which tokens of a response the attention sits: kept for the few responses that somebody looks at."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from rap_plugin.evidence.damage import damaged
from rap_plugin.evidence.database import Database
from rap_plugin.evidence.variants import Variant
from rap_plugin.rollout import TokenAttention

MOST_TOKENS = 1 << 20
"""Of a response; a stored one that unpacks to more is damaged."""


def store_tokens(
    store: Database, probe: int, variant: Variant, measured: Mapping[tuple[int, int], TokenAttention]
) -> None:
    """Stores what was measured by (sample number, rollout), in one transaction; what is there already is replaced."""
    rows = [
        (
            sample,
            probe,
            rollout,
            variant.column,
            zlib.compress(np.array(seen.shares, dtype="<f2").tobytes()),
            zlib.compress(np.array(seen.ends, dtype="<i4").tobytes()),
            seen.hot,
        )
        for (sample, rollout), seen in measured.items()
    ]
    with store.transaction() as db:
        db.executemany("INSERT OR REPLACE INTO token_attention VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def read_tokens(
    store: Database, probe: int, variant: Variant, samples: Sequence[int]
) -> dict[tuple[int, int], TokenAttention]:
    """What is stored of these samples, by (sample number, rollout). Raises RapError where it is damaged.

    A store of an older rap that is only read has no such table, and so none.
    """
    if not store.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'token_attention'"):
        return {}
    found: dict[tuple[int, int], TokenAttention] = {}
    for start in range(0, len(samples), 500):
        some = samples[start : start + 500]
        marks = ", ".join("?" * len(some))
        for sample, rollout, shares, ends, hot in store.rows(
            f"SELECT sample, rollout, shares, ends, hot FROM token_attention "
            f"WHERE probe = ? AND variant = ? AND sample IN ({marks})",
            (probe, variant.column, *some),
        ):
            try:
                values, places = (
                    np.frombuffer(_unpacked(data), dtype) for data, dtype in ((shares, "<f2"), (ends, "<i4"))
                )
                seen = TokenAttention(tuple(values.tolist()), int(hot), tuple(places.tolist()))
            except (zlib.error, ValueError, TypeError):
                raise damaged(store.path, f"the attention by token of rollout {rollout} cannot be read") from None
            if len(seen.shares) != len(seen.ends) or not 0 <= seen.hot < len(seen.shares):
                raise damaged(store.path, f"the attention by token of rollout {rollout} is not one of its tokens")
            found[sample, rollout] = seen
    return found


def _unpacked(data: bytes) -> bytes:
    unpack = zlib.decompressobj()
    found = unpack.decompress(data, 4 * MOST_TOKENS)
    if unpack.unconsumed_tail:
        raise ValueError("too long")
    return found
