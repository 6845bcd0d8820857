"""Numbers of rows that a training can run on: found by arithmetic, before any model is loaded."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from rap_plugin.errors import RapError
from rap_plugin.hosts.batches import RolloutBatch, repeat_rows, require_pool
from rap_plugin.selectors.row_count import RowCounts

EIGHT_GPUS = RolloutBatch(rows=512, samples=5, rollout_micro=4, train_micro=4, train_batch=128, ranks=8)


def test_the_papers_batch_on_eight_ranks_needs_multiples_of_32_rows_and_one_optimizer_step():
    assert EIGHT_GPUS.row_counts() == RowCounts(multiple=32, minimum=26)
    assert EIGHT_GPUS.micro_batches(32) == [5] * 8
    assert EIGHT_GPUS.micro_batches(33) == [6] * 6 + [5, 0]


@pytest.mark.parametrize("rows", [1, 31, 33, 500])
def test_sizes_that_give_ranks_different_work_do_not_fit(rows):
    assert not EIGHT_GPUS.fits(rows)


def test_every_size_that_is_called_fitting_gives_every_rank_the_same_work_in_every_batch_of_an_episode():
    draws = random.Random(0)
    found = 0
    for _ in range(200):
        batch = RolloutBatch(
            rows=draws.choice([8, 12, 30, 64, 96, 128]),
            samples=draws.randint(1, 8),
            rollout_micro=draws.choice([1, 2, 3, 4, 8]),
            train_micro=draws.choice([1, 2, 4]),
            train_batch=draws.choice([8, 32, 128]),
            ranks=draws.choice([1, 2, 3, 4, 8]),
        )
        counts = batch.row_counts()
        if counts is None:
            assert not batch.fits(batch.rows)
            assert all(batch.fits(rows) for rows in batch.batches_that_fit())
            continue
        found += 1
        for rows in range(1, 3 * batch.rows):
            size = counts.above(rows)
            assert size * batch.samples >= batch.train_batch
            last = size % batch.rows
            assert not last or batch.fits(last)
    assert found > 100


def test_a_batch_that_never_fits_names_three_that_do():
    odd = replace(EIGHT_GPUS, rows=510)
    assert odd.row_counts() is None
    assert odd.batches_that_fit() == [480, 512, 544]


def test_sharded_weights_ask_for_equal_forward_passes_of_every_model():
    plain = replace(EIGHT_GPUS, rollout_micro=1, forward_ranks=(8, 3))
    assert plain.fits(32)
    assert not replace(plain, sharded=True).fits(32)
    assert replace(plain, sharded=True).fits(96)


def test_micro_batches_by_tokens_need_a_response_for_every_rank_only():
    assert replace(EIGHT_GPUS, dynamic=True).row_counts() == RowCounts(2, 26)


def test_a_pool_that_is_too_small_is_refused_with_three_numbers_that_fit():
    counts = RowCounts(multiple=32, minimum=26)
    require_pool(counts, 32, "fill")
    require_pool(counts, 3, "repeat")
    with pytest.raises(
        RapError, match=r"the pool has 31 rows, .* a multiple of 32 and at least 26 of them, as in 32, 64, 96"
    ):
        require_pool(counts, 31, "fill")


def test_rows_repeat_as_equally_as_it_goes_and_the_same_way_every_time():
    rows = [3, 5, 9]
    assert repeat_rows(rows, 6, 0) == [3, 3, 5, 5, 9, 9]
    assert repeat_rows([3, 1, 2], 3, 0) == [1, 2, 3]
    again = repeat_rows(rows, 8, 1)
    assert again == repeat_rows(rows, 8, 1)
    assert sorted(again.count(row) for row in rows) == [2, 3, 3]
