"""Whether one response is attention-biased."""

from __future__ import annotations

import math

import pytest

from rap_plugin.config import AceConfig
from rap_plugin.errors import RapError
from rap_plugin.evidence.variants import STATISTIC_COLUMNS
from rap_plugin.posterior.attention import AttentionTest


def statistics(**known: float) -> dict[str, float | None]:
    return {**dict.fromkeys(STATISTIC_COLUMNS), **known}


def test_a_response_is_biased_where_its_psi_is_above_lambda_a() -> None:
    test = AttentionTest(lambda_a=0.1)
    assert test.biased(statistics(psi_window_max_10=math.log(0.11))) == 1.0
    assert test.biased(statistics(psi_window_max_10=math.log(0.09))) == 0.0
    assert AttentionTest(lambda_a=0).biased(statistics(psi_window_max_10=-700.0)) == 1.0


def test_what_was_not_measured_is_neither() -> None:
    assert AttentionTest().biased(statistics(psi_window_max_5=0.0)) is None


def test_psi_is_that_of_the_options_of_ace() -> None:
    test = AttentionTest(AceConfig(window=5, heads="mean", sigma=4.0))
    assert test.log_psi(statistics(psi_window_mean_5=-3.0)) == pytest.approx(-3.0 + 5 * math.log(2))


def test_options_without_a_psi_are_refused() -> None:
    with pytest.raises(RapError, match=r"ace\.reduction=window"):
        AttentionTest(AceConfig(reduction="suffix", sigma=4.0))
    with pytest.raises(RapError, match="lambda_a=-1"):
        AttentionTest(lambda_a=-1)
