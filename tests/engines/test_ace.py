"""The numerics of ACE against a literal reference, and the bound on their memory."""

from __future__ import annotations

import gc
import math

import pytest

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

from rap_plugin.engines import ace  # noqa: E402
from rap_plugin.evidence.variants import STATISTIC_COLUMNS  # noqa: E402

from . import reference  # noqa: E402


def random_qk(heads, groups, length, size=8, count=1, seed=0, sharp=2.0):
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(count, heads, length, size, generator=generator) * sharp
    key = torch.randn(count, groups, length, size, generator=generator)
    return query, key


def expect(found, wanted, tolerance=1e-5):
    assert list(found) == list(STATISTIC_COLUMNS)
    for column in STATISTIC_COLUMNS:
        if wanted[column] is None:
            assert found[column] is None, column
        else:
            assert found[column] == pytest.approx(wanted[column], rel=tolerance, abs=tolerance), column


@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize("rows", [2, 4, 5, 6, 9, 10, 11, 20, 21, 57])
def test_every_statistic_equals_the_literal_formula(heads, groups, rows):
    query, key = random_qk(heads, groups, 13 + rows, seed=rows)
    [found] = ace.measure(query[:, :, 13:], key, 0.35)
    expect(found, reference.statistics(reference.attention_from(query[0], key[0], 0.35), 13, 13 + rows))


@pytest.mark.parametrize("rows", [0, 1])
def test_below_two_usable_rows_nothing_is_measured(rows):
    query, key = random_qk(2, 2, 6 + rows)
    [found] = ace.measure(query[:, :, 6:], key, 1.0)
    assert found == dict.fromkeys(STATISTIC_COLUMNS)


@pytest.mark.parametrize("options", [{"sliding_window": 7}, {"softcap": 1.5}, {"sliding_window": 16, "softcap": 3.0}])
def test_sliding_windows_and_soft_caps_are_part_of_the_attention(options):
    query, key = random_qk(4, 2, 40)
    [found] = ace.measure(query[:, :, 10:], key, 0.35, **options)
    wanted = reference.statistics(reference.attention_from(query[0], key[0], 0.35, **options), 10, 40)
    expect(found, wanted)
    [plain] = ace.measure(query[:, :, 10:], key, 0.35)
    assert plain["attention_entropy"] != pytest.approx(found["attention_entropy"], rel=1e-3)


def test_the_size_of_the_scratch_does_not_change_a_number():
    query, key = random_qk(4, 2, 75, count=3)
    whole = ace.measure(query[:, :, 8:], key, 0.35)
    row = 4 * 4 * 75
    for scratch in (1, row * 3, row * 19, row * 20, row * ace.LEAST_CHUNK * 2):
        for found, wanted in zip(ace.measure(query[:, :, 8:], key, 0.35, scratch_bytes=scratch), whole, strict=True):
            expect(found, wanted, 2e-6)


def test_padding_in_front_and_behind_does_not_change_a_number():
    query, key = random_qk(4, 2, 60, count=4)
    starts, rows = [0, 5, 9, 19], [40, 1, 7, 23]
    for n, found in enumerate(ace.measure(query[:, :, 20:], key, 0.35, rows=rows, starts=starts)):
        end = 20 + rows[n]
        [alone] = ace.measure(query[n : n + 1, :, 20:end], key[n : n + 1, :, starts[n] : end], 0.35)
        expect(found, alone)


def test_a_weight_of_zero_gives_a_low_but_finite_psi():
    query = torch.zeros(1, 1, 12, 2)
    key = torch.zeros(1, 1, 12, 2)
    query[..., 0] = 1e4
    key[:, :, 0, 0] = 1.0  # everything looks at the first prompt token only: every response weight underflows
    [found] = ace.measure(query[:, :, 2:], key, 1.0)
    assert all(math.isfinite(value) for value in found.values())
    assert found["psi_window_max_10"] == pytest.approx(10 * math.log(2 * ace.TINY), rel=1e-6)
    assert found["attention_entropy"] == 0.0


def test_a_column_that_stays_hot_gives_the_product_of_sigma_times_its_weight():
    length, hot = 30, 6
    query = torch.zeros(1, 2, length, 2)
    key = torch.zeros(1, 2, length, 2)
    query[..., 0] = 1.0
    key[:, :, hot, 0] = 50.0  # weight 1 from every later row
    [found] = ace.measure(query[:, :, 5:], key, 1.0)
    assert found["psi_window_max_10"] == pytest.approx(10 * math.log(2.0), rel=1e-5)
    assert found["psi_suffix_mean_10"] == pytest.approx((length - hot) * math.log(2.0), rel=1e-5)


def test_rows_that_arrive_in_any_chunks_give_the_same_numbers():
    query, key = random_qk(3, 3, 48)
    [whole] = ace.measure(query[:, :, 11:], key, 0.35)
    statistics = ace.RowStatistics([37], "cpu")
    for begin, end in [(0, 1), (1, 9), (9, 35), (35, 36), (36, 37)]:
        top, mean = ace.head_rows(query[:, :, 11 + begin : 11 + end], key[:, :, : 11 + end], 0.35)
        statistics.add(ace.normalise_rows(top)[..., 11:], mean[..., 11:])
    expect(statistics.result()[0], whole)


def test_heads_split_over_ranks_reduce_to_the_same_rows():
    query, key = random_qk(8, 4, 30)
    top, mean = ace.head_rows(query[:, :, 12:], key, 0.35)
    parts = [ace.head_rows(query[:, 4 * r : 4 * r + 4, 12:], key[:, 2 * r : 2 * r + 2], 0.35) for r in (0, 1)]
    torch.testing.assert_close(torch.maximum(parts[0][0], parts[1][0]), top)
    torch.testing.assert_close((parts[0][1] + parts[1][1]) / 2, mean)


def test_asking_for_a_result_before_all_rows_came_is_an_error():
    with pytest.raises(ValueError, match="0 of 5 rows"):
        ace.RowStatistics([5], "cpu").result()


@pytest.mark.parametrize(
    ("tokens", "span"),
    [
        ([7, 8, 9, 2], (1, 3)),
        ([7, 8, 9], (1, 3)),
        ([7, 8, 2, 3, 2], (1, 2)),
        ([7], (1, 1)),
        ([2], (1, 1)),
        ([], (1, 1)),
    ],
)
def test_the_first_token_and_the_end_tokens_are_left_out(tokens, span):
    assert ace.usable_span(tokens, {2, 3}) == span


class LargestTensor(TorchDispatchMode):
    """Records the bytes of the largest tensor that any operation gives back."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.bytes = max(self.bytes, leaf.numel() * leaf.element_size())
        return out


@pytest.mark.parametrize("length", [256, 1024])
def test_no_tensor_is_larger_than_the_scratch_asked_for(length):
    query, key = random_qk(8, 2, length)
    scratch = 2**19
    with LargestTensor() as largest:
        ace.measure(query, key, 0.35, scratch_bytes=scratch)
    # Beside the block of scores: two head reductions of max(WINDOWS) - 1 kept rows and one chunk.
    chunk = scratch // (4 * 8 * length)
    assert largest.bytes <= max(scratch, 4 * 2 * (19 + chunk) * length)
    assert largest.bytes < 4 * 8 * length * length / 3


def test_scratch_is_freed_chunk_by_chunk_without_the_garbage_collector():
    query, key = random_qk(4, 2, 200)
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())
        ace.measure(query, key, 0.35, scratch_bytes=2**17)
        after = sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())
    finally:
        gc.enable()
    assert after == before
