"""Waiting for answers of Ray actors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def finished(references: Sequence[Any], timeout_s: float) -> list[Any]:
    """The references whose answers, or failures, are there; waits for the first, at most so long."""
    import ray

    ready, _ = ray.wait(list(references), num_returns=1, timeout=timeout_s, fetch_local=False)
    if not ready:
        return []
    # All that are there by now in one call: a call costs time in proportion to all that are open.
    ready, _ = ray.wait(list(references), num_returns=len(references), timeout=0, fetch_local=False)
    return list(ready)
