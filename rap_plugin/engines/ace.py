"""Attention confidence (ACE) from the queries and keys of one layer, without ever holding an attention map.

A = softmax(q k^T * scaling) of the *last* decoder layer, over all keys (prompt and response, causal). From it
psi (RAP, arXiv 2506.04755; the column product is OPERA's, CVPR 2024) over the *usable* response tokens:
all but the first (an attention sink) and the template's end tokens. Three facts fix the numbers:

- **heads.** `max`: the maximum over heads, then every row divided by its sum over *all* its keys, prompt
  included, as OPERA does; only then are columns cut down to the response. Dividing by the sum over the response
  columns alone would give the first rows, which see one or two such columns, weights near 1 whatever the model
  does. `mean`: the mean over heads, whose rows sum to 1 already.
- **log space.** log(sigma * A_ij), with A_ij below the smallest normal float32 (1.2e-38) raised to it, so that
  one underflowed weight gives a very low but finite psi. Sums run in float64 where a device has it.
- **streaming.** Rows come in chunks; what is kept between chunks is the last `max(WINDOWS) - 1` rows of logs and
  one running sum per column. Scratch memory depends on the chunk and on L, never on layers or on L squared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor

from rap_plugin.evidence.variants import ENTROPY_COLUMN, HEADS, SIGMA, STATISTIC_COLUMNS, WINDOWS, Variant

TINY = torch.finfo(torch.float32).tiny
SCRATCH_BYTES = {"cpu": 4 * 2**20, "cuda": 32 * 2**20, "mps": 32 * 2**20}
"""Size of one (N, H, chunk, L) block of float32 scores by device; two to three such blocks live at once.

On a CPU a block should stay in the cache; on a GPU it should be worth its kernel launches.
"""

LEAST_CHUNK = 32
"""Rows in a chunk at least, where leaving sequences for later allows it: few rows at a time are slow."""

Statistics = dict[str, float | None]


def usable_span(token_ids: Sequence[int], end_ids: Collection[int]) -> tuple[int, int]:
    """First and one-past-last usable position of a response: no first token, no end tokens at its end.

    The span has `stop - start` rows, 0 for a response of one token.
    """
    stop = len(token_ids)
    while stop and token_ids[stop - 1] in end_ids:
        stop -= 1
    return 1, max(1, stop)


def unmeasured() -> Statistics:
    """Every statistic, none of them measured."""
    return dict.fromkeys(STATISTIC_COLUMNS)


def measure(
    query: Tensor,
    key: Tensor,
    scaling: float,
    *,
    rows: Sequence[int] | None = None,
    starts: Sequence[int] | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    combine: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
    scratch_bytes: int | None = None,
) -> list[Statistics]:
    """All statistics of `evidence.variants.STATISTIC_COLUMNS` for N responses, in one pass over their rows.

    query  (N, H, R, d): post-rotary queries of the usable response tokens.
    key    (N, Hkv, L, d): post-rotary keys of prompt and response up to the last usable token; query row r sits at
           position L - R + r, so rows and columns share their start in every sequence. H is a multiple of Hkv
           (grouped queries: head h reads key head h // (H / Hkv)).
    rows   usable rows of each sequence, at most R (shorter responses are padded at their end).
    starts first real key of each sequence (prompts are padded at their front).
    sliding_window  row i sees keys i - sliding_window + 1 .. i; softcap: scores = softcap * tanh(scores / softcap).
    combine  turns the (maximum, mean) of `head_rows` over this rank's heads into those over all ranks' heads.

    Cost: 2 N H R L d flops. Scratch: two to three blocks of n * H * chunk * L floats, with n sequences and chunk rows
    at a time so that a block stays within `scratch_bytes`. bfloat16 and float16 inputs are computed in float32.
    """
    count, heads, length, _ = query.shape
    rows = [length] * count if rows is None else list(rows)
    scratch = SCRATCH_BYTES.get(query.device.type, 2**24) if scratch_bytes is None else scratch_bytes
    one_row = 4 * heads * key.shape[2]
    together = max(1, min(count, scratch // (one_row * LEAST_CHUNK)))
    found: list[Statistics] = []
    for at in range(0, count, together):
        some = slice(at, at + together)
        found += _measure_together(
            query[some],
            key[some],
            scaling,
            rows[some],
            max(1, scratch // (one_row * together)),
            starts=None if starts is None else starts[some],
            sliding_window=sliding_window,
            softcap=softcap,
            combine=combine,
        )
    return found


def _measure_together(
    query: Tensor,
    key: Tensor,
    scaling: float,
    rows: Sequence[int],
    chunk: int,
    *,
    starts: Sequence[int] | None,
    sliding_window: int | None,
    softcap: float | None,
    combine: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None,
) -> list[Statistics]:
    """`measure` for sequences that go through together, `chunk` rows at a time."""
    first = key.shape[2] - query.shape[2]
    statistics = RowStatistics(rows, query.device)
    for begin in range(0, statistics.width, chunk):
        end = min(begin + chunk, statistics.width)
        top, mean = head_rows(
            query[:, :, begin:end],
            key[:, :, : first + end],
            scaling,
            starts=starts,
            sliding_window=sliding_window,
            softcap=softcap,
        )
        if combine is not None:
            top, mean = combine(top, mean)
        statistics.add(normalise_rows(top)[..., first:], mean[..., first:])
    return statistics.result()


def head_rows(
    query: Tensor,
    key: Tensor,
    scaling: float,
    *,
    starts: Sequence[int] | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention rows reduced over heads: (maximum, mean), each (N, c, L) float32 over *all* keys, not renormalised.

    query (N, H, c, d) holds the last c of the L positions of key (N, Hkv, L, d). Where heads are split over
    ranks, the maximum and the mean of these two over the ranks are what one rank with all heads would give.
    """
    count, heads, chunk, size = query.shape
    groups, length = key.shape[1], key.shape[2]
    if heads % groups:
        raise ValueError(f"{heads} query heads cannot share {groups} key heads")
    grouped = (query.float() * scaling).reshape(count, groups, (heads // groups) * chunk, size)
    scores = torch.matmul(grouped, key.float().transpose(-1, -2)).view(count, heads, chunk, length)
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    _mask_future(scores)
    if starts is not None or sliding_window is not None:
        scores.masked_fill_(_unseen(count, chunk, length, starts, sliding_window, scores.device), -math.inf)
    weights = torch.softmax(scores, dim=-1)
    return weights.amax(dim=1), weights.mean(dim=1)


def normalise_rows(rows: Tensor) -> Tensor:
    """Rows (..., L) divided by their sums over all keys: OPERA's step after the maximum over heads."""
    return rows / rows.sum(dim=-1, keepdim=True).clamp_min(TINY)


class RowStatistics:
    """Gathers psi and the attention entropy from head-reduced rows that arrive in order, in chunks of any size.

    `rows` are the usable rows R_n of the N sequences. Feed rows 0, 1, .. with `add`, then ask for `result`.
    State: 2 * N * max(WINDOWS) * max(R_n) floats. Work per row: O(R), about ten passes over its columns.

    With a = log(sigma * A) and n = R_n usable rows, for each head reduction:
    window w  max over rows s <= n - w and columns j <= s of   sum of a_ij over i = s .. s + w - 1
    suffix w  max over columns j with at least w later rows of   sum of a_ij over i = j .. n - 1
    short     where no such window or column exists:   (w / n) * sum of a_i0 over i = 0 .. n - 1, that is the geometric
              mean of the one column that all rows see, raised to the power w; both reductions then agree
    n < 2     None: not measured
    entropy   mean over rows of -sum p log p, p = the head-averaged row over columns 0 .. i, divided by its sum
    """

    def __init__(self, rows: Sequence[int], device: torch.device | str) -> None:
        self.rows = list(rows)
        self.width = max(self.rows, default=0)
        self.seen = 0
        device = torch.device(device)
        count = len(self.rows)
        wide = torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
        self._limits = torch.tensor(self.rows, device=device)
        self._tail = torch.full((2, count, max(WINDOWS) - 1, self.width), -math.inf, device=device)
        self._columns = torch.zeros((2, count, self.width), dtype=wide, device=device)
        self._best = torch.full((len(WINDOWS), 2, count), -math.inf, device=device)
        self._entropy = torch.zeros(count, dtype=wide, device=device)

    def add(self, top: Tensor, mean: Tensor) -> None:
        """Takes the next c rows: (N, c, C) weights over the first C usable columns, C at least `seen + c` where read.

        `top` is the renormalised maximum over heads, `mean` the mean over heads.
        """
        chunk = min(top.shape[1], self.width - self.seen)
        if chunk <= 0:
            return
        stop = self.seen + chunk
        row = torch.arange(self.seen, stop, device=self._limits.device)
        causal = torch.arange(stop, device=row.device) <= row[:, None]
        allowed = causal & (row < self._limits[:, None])[:, :, None]
        weights = torch.stack((top[:, :chunk, :stop], mean[:, :chunk, :stop]))
        logs = (weights.clamp_min(TINY) * SIGMA).log_()
        self._entropy += _row_entropies(weights[1].masked_fill_(~allowed, 0.0)).sum(dim=-1, dtype=self._entropy.dtype)
        del weights
        self._columns[..., :stop] += logs.masked_fill(~allowed, 0.0).sum(dim=2, dtype=self._columns.dtype)
        # Above the diagonal log A is minus infinity, so a window that starts above its column can never win.
        logs.masked_fill_(~allowed, -math.inf)
        self._windows(torch.cat((self._tail[..., :stop], logs), dim=2))
        keep = min(chunk, self._tail.shape[2])
        self._tail[:, :, : self._tail.shape[2] - keep] = self._tail[:, :, keep:].clone()
        self._tail[:, :, self._tail.shape[2] - keep :, :stop] = logs[:, :, chunk - keep :]
        self.seen = stop

    def _windows(self, logs: Tensor) -> None:
        """Updates the best window sums from logs (2, N, max(WINDOWS) - 1 + c, C), whose last c rows are new."""
        before = self._tail.shape[2]
        sums = {1: logs}
        for at, width in enumerate(WINDOWS):
            new = _run_sums(sums, width)[:, :, before - width + 1 :]  # windows that end in a new row
            self._best[at] = torch.maximum(self._best[at], new.amax(dim=(2, 3)))

    def result(self) -> list[Statistics]:
        """One mapping of column name to number (or None) per sequence; raises where rows are missing."""
        if self.seen < self.width:
            raise ValueError(f"{self.seen} of {self.width} rows were given")
        if not self.width:
            return [unmeasured() for _ in self.rows]
        later = self._limits[:, None] - 1 - torch.arange(self.width, device=self._limits.device)
        suffixes = [self._columns.masked_fill(later < width, -math.inf).amax(dim=-1) for width in WINDOWS]
        wide = self._columns.dtype
        table = torch.cat((self._best.to(wide), torch.stack(suffixes), self._columns[None, ..., 0])).tolist()
        entropies = self._entropy.tolist()
        return [self._row(table, entropies[n], n) for n in range(len(self.rows))]

    def _row(self, table: list[list[list[float]]], entropy: float, n: int) -> Statistics:
        rows = self.rows[n]
        if rows < 2:
            return unmeasured()
        values: Statistics = {}
        for at, width in enumerate(WINDOWS):
            for head, name in enumerate(HEADS):
                short = table[-1][head][n] * width / rows
                window, suffix = table[at][head][n], table[len(WINDOWS) + at][head][n]
                values[Variant("window", name, width).column] = window if rows >= width else short
                values[Variant("suffix", name, width).column] = suffix if rows > width else short
        values[ENTROPY_COLUMN] = entropy / rows
        return {column: values[column] for column in STATISTIC_COLUMNS}


def _run_sums(sums: dict[int, Tensor], width: int) -> Tensor:
    """Sums over `width` consecutive rows by doubling, kept in `sums`: entry t of axis 2 covers rows t .. t + width - 1.

    `sums[1]` are the rows themselves. Minus infinity stays minus infinity, which no cumulative sum would survive.
    """
    if width not in sums:
        half = _run_sums(sums, width // 2)
        total = half[:, :, : half.shape[2] - width // 2] + half[:, :, width // 2 :]
        if width % 2:
            total = total[:, :, :-1] + sums[1][:, :, width - 1 :]
        sums[width] = total
    return sums[width]


def _row_entropies(weights: Tensor) -> Tensor:
    """Entropies in nats of rows (..., C) divided by their sums: log S - (sum of m log m) / S; 0 for empty rows."""
    total = weights.sum(dim=-1).clamp_min(TINY)
    return (total.log() - torch.special.xlogy(weights, weights).sum(dim=-1) / total).clamp_min(0.0)


def _mask_future(scores: Tensor) -> None:
    """Hides, in place, the keys after each row: row r of c is at L - c + r, so only the last c columns change."""
    chunk, length = scores.shape[-2], scores.shape[-1]
    future = torch.ones(chunk, chunk, dtype=torch.bool, device=scores.device).triu(1)
    scores[..., length - chunk :].masked_fill_(future, -math.inf)


def _unseen(
    count: int,
    chunk: int,
    length: int,
    starts: Sequence[int] | None,
    sliding_window: int | None,
    device: torch.device,
) -> Tensor:
    """True where a row must not look for reasons other than causality: (N, 1, c, L) or broadcastable to it."""
    column = torch.arange(length, device=device)
    unseen = torch.zeros((count, 1, 1, length), dtype=torch.bool, device=device)
    if starts is not None:
        unseen = unseen | (column < torch.tensor(list(starts), device=device)[:, None])[:, None, None, :]
    if sliding_window is not None:
        row = torch.arange(length - chunk, length, device=device)
        unseen = unseen | (column <= row[:, None] - sliding_window)
    return unseen
