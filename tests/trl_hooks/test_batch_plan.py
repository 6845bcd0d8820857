"""How batches of a training are counted: as Trainer, accelerate and TRL's sampler do it."""

from __future__ import annotations

import itertools

import pytest

from rap_plugin.trl_hooks.batch_plan import BatchPlan


@pytest.mark.parametrize(("accumulated", "repeats"), list(itertools.product(range(1, 6), range(1, 9))))
def test_no_batch_is_read_before_the_rewards_that_it_follows_from(accumulated: int, repeats: int) -> None:
    plan = BatchPlan(4, 4, repeats, accumulated, steps=12)
    told, furthest = 0, 0
    for step in range(plan.steps):
        # Trainer reads a step's micro-batches together, accelerate one more.
        read = min((step + 1) * accumulated // repeats, plan.batches - 1)
        furthest = max(furthest, read + 1 - told)
        assert read - plan.lag + 1 <= told
        assert plan.told_after(step) == told
        assert plan.inside(step) == (step * accumulated % repeats > 0)
        for micro in range(step * accumulated, (step + 1) * accumulated):
            told += micro % repeats == 0
    assert told == plan.batches
    assert plan.lag <= max(furthest, 1), "and no further behind than needed"
