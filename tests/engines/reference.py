"""ACE written down literally in numpy from the formulas: slow loops in log space, nothing shared with the package."""

from __future__ import annotations

import math

import numpy as np

SIGMA = 2.0
TINY = 1.1754943508222875e-38


def attention_from(query, key, scaling, sliding_window=None, softcap=None):
    """(H, L, L) attention of one sequence from (H, L, d) queries and (Hkv, L, d) keys, in float64."""
    query, key = np.asarray(query, np.float64), np.asarray(key, np.float64)
    heads, length, _ = query.shape
    attention = np.zeros((heads, length, length))
    for head in range(heads):
        scores = query[head] @ key[head // (heads // len(key))].T * scaling
        if softcap:
            scores = softcap * np.tanh(scores / softcap)
        for i in range(length):
            first = 0 if sliding_window is None else max(0, i - sliding_window + 1)
            seen = np.exp(scores[i, first : i + 1] - scores[i, first : i + 1].max())
            attention[head, i, first : i + 1] = seen / seen.sum()
    return attention


def statistics(attention, first, stop):
    """All stored statistics of one sequence from its (H, L, L) attention; usable tokens are first .. stop - 1."""
    attention = np.asarray(attention, np.float64)[:, first:stop]
    values = {}
    rows = stop - first
    for heads in ("max", "mean"):
        if heads == "max":
            reduced = attention.max(axis=0)
            reduced = reduced / reduced.sum(axis=1, keepdims=True)
        else:
            reduced = attention.mean(axis=0)
        local = reduced[:, first:stop]
        for w in (5, 10, 20):
            values[f"psi_window_{heads}_{w}"] = window(local, w)
            values[f"psi_suffix_{heads}_{w}"] = suffix(local, w)
    local = attention.mean(axis=0)[:, first:stop]
    entropies = []
    for i in range(rows):
        p = local[i, : i + 1] / local[i, : i + 1].sum()
        entropies.append(-sum(x * math.log(x) for x in p if x > 0))
    values["attention_entropy"] = float(np.mean(entropies)) if rows >= 2 else None
    return values


def log_weight(x):
    return math.log(SIGMA * max(x, TINY))


def window(local, w):
    n = len(local)
    if n < 2:
        return None
    if n < w:
        return short(local, w)
    return max(sum(log_weight(local[i, j]) for i in range(s, s + w)) for s in range(n - w + 1) for j in range(s + 1))


def suffix(local, w):
    n = len(local)
    if n < 2:
        return None
    columns = [j for j in range(n) if n - 1 - j >= w]
    if not columns:
        return short(local, w)
    return max(sum(log_weight(local[i, j]) for i in range(j, n)) for j in columns)


def short(local, w):
    n = len(local)
    return w * sum(log_weight(local[i, 0]) for i in range(n)) / n
