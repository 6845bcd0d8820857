"""Heads split over ranks give the numbers of all heads together."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch

from rap_plugin.engines import ace


@pytest.mark.parametrize("scratch", [None, 4096], ids=["one-chunk", "many-chunks"])
def test_two_ranks_with_half_the_heads_each_measure_what_one_rank_measures(scratch):
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(1, 4, 30, 8, generator=generator) * 2
    key = torch.randn(1, 2, 41, 8, generator=generator)
    together = ace.measure(query, key, 0.5)
    seen = [0]

    def with_the_other_rank(top, mean):
        begin = seen[0]
        seen[0] += top.shape[1]
        other_top, other_mean = ace.head_rows(query[:, 2:, begin : seen[0]], key[:, 1:, : 11 + seen[0]], 0.5)
        return torch.maximum(top, other_top), (mean + other_mean) / 2

    split = ace.measure(query[:, :2], key[:, :1], 0.5, combine=with_the_other_rank, scratch_bytes=scratch)
    assert seen[0] == 30
    assert split[0] == pytest.approx(together[0], rel=1e-6)
    assert split[0] != pytest.approx(ace.measure(query[:, :2], key[:, :1], 0.5)[0], rel=1e-3)
