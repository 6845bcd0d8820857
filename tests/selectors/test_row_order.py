"""The order of a pool's rows decides nothing: under every selector each sample keeps its verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rap_plugin.config import RunConfig, load_config
from rap_plugin.evidence.table import EvidenceTable
from rap_plugin.scorers import BUILTIN_SCORERS
from rap_plugin.selectors import BUILTIN_SELECTORS
from rap_plugin.selectors.curtailed import decide
from tests.tables import arm, make_table

M = 5
SAMPLE = st.tuples(st.integers(0, M), st.integers(0, M), st.integers(0, M), st.sampled_from([-9.0, -2.0, 0.5]))
"""Right of M with the image, without it and with the facts, and log psi: few values, so that most samples tie with others."""

OPTIONS = st.fixed_dictionaries(
    {
        "selector": st.sampled_from(list(BUILTIN_SELECTORS)),
        "lambda_c": st.sampled_from([0.0, 0.2, 0.5]),
        "lambda_a": st.sampled_from([0.1, "auto"]),
        "keep": st.sampled_from([None, 0.1, 0.4, 1.0]),
        "score": st.sampled_from([name for name in BUILTIN_SCORERS if "facts" not in name and "gap" not in name]),
        "limr_threshold": st.sampled_from([0.0, 0.6, 0.75]),
        "size_multiple": st.sampled_from([1, 4]),
        "size_by": st.sampled_from(["fill", "cut", "repeat"]),
    }
)


def table_of(drawn: list[tuple[int, int, int, float]], order: list[int]) -> EvidenceTable:
    """The samples in this order of rows; their ids are no function of it."""
    image, blind, facts, psi = (list(column) for column in zip(*(drawn[i] for i in order), strict=True))
    table = make_table(image, blind, psi, rollouts=M, ids=[f"{i * 7919 % 104729:032x}" for i in order])
    return replace(table, arms={**table.arms, "facts": arm(facts, M)})


def verdicts(table: EvidenceTable, config: RunConfig) -> dict[str, str] | str:
    try:
        decision, _ = decide(table, config, BUILTIN_SCORERS, BUILTIN_SELECTORS[config.selection.selector])
    except Exception as error:
        return str(error)
    return dict(zip(table.ids, decision.verdicts.tolist(), strict=True))


@given(st.lists(SAMPLE, min_size=1, max_size=40), OPTIONS, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_each_sample_keeps_its_verdict(drawn: list[Any], options: dict[str, Any], shuffle: Any) -> None:
    config = load_config(flags={f"selection.{name}": value for name, value in options.items()})
    there = list(range(len(drawn)))
    other = list(there)
    shuffle.shuffle(other)
    assert verdicts(table_of(drawn, there), config) == verdicts(table_of(drawn, other), config)


def test_samples_equally_far_from_the_mean_reward_stay_equal() -> None:
    """The mean of these seven shares differs in its last bit from one order of rows to another, and with it the alignments of equals."""
    drawn = [(right, 0, 0, -9.0) for right in (4, 3, 0, 0, 1, 3, 3)]
    for selector in ("limr", "top"):
        flags = {"selector": selector, "score": "alignment", "limr_threshold": 0.0, "keep": 0.4}
        config = load_config(flags={f"selection.{name}": value for name, value in flags.items()})
        expected = verdicts(table_of(drawn, list(range(7))), config)
        for turn in range(1, 7):
            order = [(i * 3 + turn) % 7 for i in range(7)]
            assert verdicts(table_of(drawn, order), config) == expected
