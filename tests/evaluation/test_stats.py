"""Intervals and tests against known values."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from rap_plugin.evaluation.stats import bootstrap, bootstrap_mean, mcnemar, wilson


def test_wilson_gives_the_published_interval() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81/263 and 15/148 and 0/20, 95 %.
    for right, total, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        assert wilson(right, total) == pytest.approx((low, high), abs=5e-5)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    for first, second in ((0, 0), (1, 0), (3, 9), (9, 3), (50, 50)):
        total = first + second
        tail = sum(math.comb(total, k) for k in range(min(first, second) + 1))
        assert mcnemar(first, second) == pytest.approx(min(1.0, 2 * tail / 2**total))
    assert mcnemar(10_000, 13_000) < 1e-80


def test_the_bootstrap_of_a_mean_is_about_two_standard_errors_wide() -> None:
    values = [random.Random(i).gauss(0.5, 0.1) for i in range(400)]
    low, high = bootstrap_mean(values)
    error = float(np.std(values) / 20)
    assert (high - low) == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert bootstrap_mean(values) == (low, high)


def test_the_general_bootstrap_agrees_with_that_of_a_mean() -> None:
    values = np.asarray([float(i % 3 == 0) for i in range(300)])
    one = bootstrap_mean(values)
    other = bootstrap(300, lambda positions: float(values[positions].mean()), draws=1000)
    assert other == pytest.approx(one, abs=0.02)
