"""From kept queries and keys to the statistics of ACE, in batches of responses alike in length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rap_plugin.engines.vllm.ranks import Ranks
from rap_plugin.engines.vllm.tracked import TrackedRequest, TrackedRequests
from rap_plugin.errors import one_line
from rap_plugin.evidence.variants import STATISTIC_COLUMNS

BATCH_BYTES = 32 * 2**20
"""Queries and keys, padded, that are reduced together."""

Measured = dict[str, "float | None"] | str
"""The statistics of one response, or the reason why there are none."""


@dataclass(frozen=True, slots=True)
class AttentionShape:
    """What one rank's share of the last layer looks like."""

    heads: int
    kv_heads: int
    head_size: int
    scale: float
    softcap: float | None


@dataclass(frozen=True, slots=True)
class SeenResponse:
    """A response all of whose usable rows were seen."""

    place: int
    """Its place in the call's answer."""
    tracked: TrackedRequest
    rows: int
    """Usable rows."""

    @property
    def tokens(self) -> int:
        """Of prompt and response, up to the last usable row."""
        return self.tracked.first + self.rows


def measure_all(
    requests: TrackedRequests, wanted: Sequence[tuple[str, int]], shape: AttentionShape, ranks: Ranks
) -> list[Measured]:
    """Statistics of ended requests, `wanted` = (key, usable rows) each. Called by all ranks alike; never raises."""
    found: list[Measured] = ["not measured" for _ in wanted]
    seen: list[SeenResponse] = []
    for place, (key, rows) in enumerate(wanted):
        tracked = requests.ended.get(key)
        if tracked is None:
            found[place] = "the request was not seen"
        elif tracked.lost:
            found[place] = tracked.lost
        elif rows < 2:
            found[place] = dict.fromkeys(STATISTIC_COLUMNS)
        elif len(tracked.query_rows) < rows or tracked.key_count < tracked.first + rows:
            found[place] = f"only {len(tracked.query_rows)} of {rows} rows were seen"
        else:
            seen.append(SeenResponse(place, tracked, rows))
            found[place] = "another rank did not see it"
    # What all ranks have: else one would wait for rows that another never sends.
    places = {response.place for response in seen}
    shared = ranks.agree([place in places for place in range(len(wanted))])
    for batch in _batches([response for response in seen if shared[response.place]], shape, requests):
        try:
            results = ranks.together(lambda batch=batch: reduce_batch(requests, batch, shape, ranks))  # type: ignore[misc]
        except Exception as error:
            results = [f"its attention could not be reduced ({one_line(error)})"] * len(batch)
        for response, result in zip(batch, results, strict=True):
            found[response.place] = result
    return found


def _batches(
    seen: Sequence[SeenResponse], shape: AttentionShape, requests: TrackedRequests
) -> list[list[SeenResponse]]:
    """Responses alike in length, in batches whose padded queries and keys stay within BATCH_BYTES.

    The same on every rank: it depends on lengths alone.
    """
    row_bytes = requests.pool.row_bytes
    batches: list[list[SeenResponse]] = []
    largest = 0.0
    for response in sorted(seen, key=lambda one: (one.rows, one.tracked.first, one.place)):
        size = (response.rows + response.tokens * shape.kv_heads / shape.heads) * row_bytes
        largest = max(largest, size)
        if not batches or largest * (len(batches[-1]) + 1) > BATCH_BYTES:
            batches.append([])
            largest = size
        batches[-1].append(response)
    return batches


def reduce_batch(
    requests: TrackedRequests, batch: Sequence[SeenResponse], shape: AttentionShape, ranks: Ranks
) -> list[Measured]:
    """`ace.measure` over a batch, padded as it asks: prompts in front, responses at the end."""
    import torch

    from rap_plugin.engines import ace

    width = max(response.rows for response in batch)
    front = max(response.tracked.first for response in batch)
    with torch.inference_mode():
        query = requests.pool.zeros(len(batch), width, shape.heads, shape.head_size)
        key = requests.pool.zeros(len(batch), front + width, shape.kv_heads, shape.head_size)
        starts = [front - response.tracked.first for response in batch]
        for at, response in enumerate(batch):
            query[at, : response.rows] = requests.queries(response.tracked, response.rows)
            key[at, starts[at] : front + response.rows] = requests.keys(response.tracked, response.tokens)
        measured = ace.measure(
            query.transpose(1, 2),
            key.transpose(1, 2),
            shape.scale,
            rows=[response.rows for response in batch],
            starts=starts,
            softcap=shape.softcap,
            combine=ranks.combine,
        )
    return [_checked(statistics) for statistics in measured]


def _checked(statistics: dict[str, float | None]) -> Measured:
    """A row or key that was not where it should be has left a NaN: a reason instead of a number."""
    broken = any(value is not None and value != value for value in statistics.values())
    return "its queries or keys were not all seen" if broken else statistics
