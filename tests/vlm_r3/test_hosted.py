"""Rows in training hosts: what their environment says."""

from __future__ import annotations

import pytest

from rap_plugin.errors import RapError
from rap_plugin.vlm_r3.hosted import options_of


def test_options_come_from_the_environment_by_their_names() -> None:
    found = options_of({"RAP_R3_MAX_CROPS": "4", "RAP_R3_REWARD": "paper", "HOME": "/root"})
    assert found.max_crops == 4


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RAP_R3_MAX_CROP", "4", "is it RAP_R3_MAX_CROPS"),
        ("RAP_R3_REWARDS", "paper", "is it RAP_R3_REWARD"),
        ("RAP_R3_max_crops", "4", "no such option"),
        ("RAP_R3_MAX_CROPS", "four", "RAP_R3_MAX_CROPS: "),
        ("RAP_R3_COORDINATES", "pixels", "RAP_R3_COORDINATES: "),
    ],
)
def test_a_misspelt_option_is_one_line_and_never_passed_over(name: str, value: str, said: str) -> None:
    with pytest.raises(RapError, match=said) as raised:
        options_of({name: value})
    assert "\n" not in str(raised.value)
