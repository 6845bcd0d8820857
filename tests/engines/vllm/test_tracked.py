"""What a worker keeps stays within its bound and is exactly what was seen, without vLLM."""

from __future__ import annotations

import random

import pytest
import torch

from rap_plugin.engines.vllm.row_pool import RowPool
from rap_plugin.engines.vllm.tracked import NO_ROOM, PlannedRows, TrackedRequest, TrackedRequests

HEADS, KV_HEADS, SIZE = 6, 2, 3
ROW = HEADS * SIZE * 4


def make(rows: int, slab_rows: int = 4) -> TrackedRequests:
    pool = RowPool(HEADS * SIZE, torch.float32, "cpu", rows * ROW + 5, slab_rows * ROW)
    return TrackedRequests(pool, KV_HEADS, SIZE)


def query(identity: int, position: int):
    return torch.full((HEADS, SIZE), 1000.0 * identity + position)


def keys(identity: int, count: int):
    return -torch.arange(count)[:, None, None].expand(count, KV_HEADS, SIZE) - 1000.0 * identity


class Life:
    """Requests that begin, decode, end and are asked for in any order, against what is kept of them."""

    def __init__(self, requests: TrackedRequests, seed: int) -> None:
        self.requests, self.chance = requests, random.Random(seed)
        self.tracked: dict[str, TrackedRequest] = {}
        self.asked = self.lost = 0

    def begin(self) -> None:
        identity = str(len(self.tracked))
        first = self.chance.randrange(1, 6)
        self.tracked[identity] = TrackedRequest(identity, first, [])
        self.requests.running[identity] = self.tracked[identity]

    def step(self) -> None:
        """One or several rows of some running requests, as a step of decoding or of a prefill brings them."""
        plan = []
        for tracked in self.requests.running.values():
            if not tracked.lost and self.chance.random() < 0.7:
                tracked.computed = tracked.next + self.chance.choice((1, 1, 1, 5))
                plan.append(PlannedRows(tracked, tracked.next, tracked.computed))
        planned = self.requests.reserve(plan)
        rows = [query(int(one.tracked.key), at) for one in planned for at in range(one.begin, one.stop)]
        if rows:
            self.requests.write(planned, torch.stack(rows))

    def end(self) -> None:
        for identity in self.chance.sample(sorted(self.requests.running), min(2, len(self.requests.running))):
            self.requests.end(identity, lambda tracked, count: keys(int(tracked.key), count))

    def ask(self) -> None:
        for key in self.chance.sample(sorted(self.requests.ended), min(2, len(self.requests.ended))):
            tracked = self.requests.ended[key]
            if tracked.lost:
                assert tracked.lost == NO_ROOM
                self.lost += 1
            else:
                count = len(tracked.query_rows)
                wanted = [query(int(key), tracked.first + row) for row in range(count)]
                if wanted:
                    assert torch.equal(self.requests.queries(tracked, count), torch.stack(wanted))
                assert torch.equal(self.requests.keys(tracked, tracked.key_count), keys(int(key), tracked.key_count))
                self.asked += count > 0
            self.requests.forget(key)


@pytest.mark.parametrize("rows", [0, 1, 7, 30, 1000])
def test_what_is_held_never_passes_the_bound_and_what_is_kept_is_what_was_seen(rows):
    requests = make(rows)
    life = Life(requests, seed=rows)
    for _ in range(400):
        life.chance.choice((life.begin, life.step, life.step, life.end, life.ask))()
        assert requests.pool.held_bytes <= rows * ROW
        assert 0 <= requests.pool.room <= rows
    while requests.running:
        life.end()
    while requests.ended:
        life.ask()
    assert requests.pool.room == rows
    assert (life.lost > 0) == (rows <= 30)
    assert (life.asked > 0) == (rows >= 7)


def test_the_requests_with_the_fewest_rows_are_given_up_first():
    requests = make(10)
    old, young = TrackedRequest("old", 1, []), TrackedRequest("young", 1, [])
    requests.running = {"young": young, "old": old}
    requests.reserve([PlannedRows(old, 1, 7), PlannedRows(young, 1, 3)])
    assert [one.tracked.key for one in requests.reserve([PlannedRows(young, 3, 5), PlannedRows(old, 7, 9)])] == ["old"]
    assert young.lost == NO_ROOM
    assert len(old.query_rows) == 8


def test_a_device_without_memory_is_a_smaller_bound(monkeypatch):
    pool = RowPool(4, torch.float32, "cpu", 16 * 16, 4 * 16)
    kept = pool.take(4)

    def full(*shape, **options):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(torch, "empty", full)
    assert pool.take(1) is None
    assert (pool.capacity, pool.room) == (4, 0)
    pool.give_back(kept)
    assert pool.take(4) == kept


def test_nothing_outside_is_kept_alive():
    pool = RowPool(4, torch.float32, "cpu", 8 * 16, 8 * 16)
    step = torch.ones(1000, 4)
    rows = pool.take(2)
    pool.write(rows, step[:2])
    step.zero_()
    assert torch.equal(pool.read(rows), torch.ones(2, 4))
    assert pool.held_bytes == 8 * 16
