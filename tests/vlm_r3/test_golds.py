"""Gold answers with slashes: alternatives, or one answer."""

from __future__ import annotations

import time

import pytest

from rap_plugin.vlm_r3.golds import alternatives, one_gold


@pytest.mark.parametrize(
    "gold",
    [
        "red/crimson", "4/four", "left/right", "A/B", "cat/dog/bird", "5 km/5 kilometers", "5 min/minutes", "hour/hr",
        "0.5/50%", "1000/1,000", "4/4 people", "$5/5 dollars", "2nd/second", "(A)/A", "IV/4", "红色/绯红",
    ],
)  # fmt: skip
def test_a_slash_between_answers_parts_them(gold: str) -> None:
    assert alternatives(gold) == gold.split("/")


@pytest.mark.parametrize(
    "gold",
    [
        "3/4", "- 1/2", "1 1/2", "3/4 cup", "1.5/2", "x/2", "(a+b)/2", r"\pi/6", "π/2", "√3/2", r"\sqrt{3}/2", r"\frac{1/2}{3}",
        "sqrt(3)/2", "$3/4$", "12/05/2020", "24/7", "60 km/h", "5 m/s^2", "kg/m^3", "m/s", "$5/hour", "120 beats/min", "N/A",
        "and/or", "http://a.b/c", "f(1/x)",
    ],
)  # fmt: skip
def test_a_slash_inside_one_answer_parts_nothing(gold: str) -> None:
    assert alternatives(f" {gold} ") == [gold]


def test_nothing_is_no_answer_and_empty_parts_are_none() -> None:
    assert alternatives(" ") == []
    assert alternatives("red/") == ["red"]


def test_a_gold_of_any_shape_is_taken_apart_in_no_time() -> None:
    began = time.process_time()
    for gold in (
        "(" * 9000 + "/",
        "1 " * 990 + "/2",
        "a/" * 990,
        "\\" * 1000 + "/2",
        "$" * 1999 + "/",
        "a1" * 900 + "/2",
    ):
        alternatives(gold)
    assert time.process_time() - began < 2


def test_a_row_says_one_answer_or_none() -> None:
    assert [one_gold(value) for value in (4, "4", ["4"], None, float("nan"), ["4", "5"], {"a": 1})] == [
        "4", "4", "4", "", "", "", "",
    ]  # fmt: skip
