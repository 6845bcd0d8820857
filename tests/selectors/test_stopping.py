"""Curtailment: a settled verdict is the verdict of the full run, whatever the missing rollouts are."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rap_plugin.config import RunConfig, load_config
from rap_plugin.evidence.table import ArmCounts, EvidenceTable
from rap_plugin.plugins import get_plugins
from rap_plugin.selectors.stopping import curtails_by_default, find_stopping_rule, missing
from tests.tables import make_table, scores_of

M = 5

CONFIGURATIONS = {
    "paper": {},
    "paper, low lambda_c": {"selection.lambda_c": 0.2},
    "paper, no ACE": {"selection.ace": False},
    "paper, no DRM": {"selection.drm": False},
    "paper, no CDE": {"selection.cde": False},
    "paper, positive gain": {"selection.hard_requires_discrepancy": True},
    "paper, hard ones need no ACE": {"selection.hard_requires_confidence": False},
    "paper, gain 0": {"selection.lambda_c": 0.0},
    "paper, unmeasured ones discarded": {"selection.unmeasured": "discard"},
    "paper, one graded rollout is enough": {"selection.min_graded": 1},
    "released": {"selection.preset": "released"},
    "random": {"selection.selector": "random"},
    "band": {"selection.selector": "band"},
    "band with a budget": {"selection.selector": "band", "selection.keep": 0.2},
    "limr": {"selection.selector": "limr"},
    "limr with a budget": {"selection.selector": "limr", "selection.keep": 0.2},
    "top by difficulty": {"selection.selector": "top", "selection.score": "difficulty"},
}


def configure(name: str) -> RunConfig:
    return load_config(flags=CONFIGURATIONS[name])


Evidence = dict[str, np.ndarray]
"""Full evidence, (N, M) each: right answers per arm, which of them could be graded, and log psi, NaN where not measured."""


def table_of(evidence: Evidence, seen: dict[str, np.ndarray]) -> EvidenceTable:
    """The table after the first `seen[arm]` rollouts of every sample."""
    n = len(evidence["image"])
    mask = {arm: np.arange(M) < seen[arm][:, None] for arm in ("image", "blind")}
    measured = mask["image"] & ~np.isnan(evidence["psi"])
    psi = np.where(measured, evidence["psi"], -np.inf).max(axis=1)
    whole = make_table([0] * n, [0] * n, np.where(measured.any(axis=1), psi, np.nan).tolist(), rollouts=M)
    arms: Any = {}
    for arm in ("image", "blind"):
        graded = evidence[f"{arm} graded"] & mask[arm]
        right = (evidence[arm] & graded).sum(axis=1)
        none = np.zeros(n, int)
        arms[arm] = ArmCounts(seen[arm], seen[arm], graded.sum(axis=1), right, right, right, seen[arm], none, none)
    return dataclasses.replace(whole, arms=arms)


def full(n: int) -> dict[str, np.ndarray]:
    return {"image": np.full(n, M), "blind": np.full(n, M)}


def verdicts(table: EvidenceTable, config: RunConfig) -> np.ndarray:
    selector = get_plugins().registry().get("selectors", config.selection.selector)
    return np.asarray(selector(table, scores_of(table, config), config).verdicts)


def evidence_from(draws: np.random.Generator, n: int, fragile_share: float = 0.2) -> Evidence:
    """Samples of all abilities; the fragile ones have rollouts without a grade or without attention."""
    ability = draws.choice([0.0, 0.1, 0.3, 0.6, 0.9, 1.0], n)
    guess = draws.choice([0.0, 0.0, 0.2, 0.8, 1.0], n)
    fragile = draws.random((n, 1)) < fragile_share
    found = {
        "image": draws.random((n, M)) < ability[:, None],
        "blind": draws.random((n, M)) < guess[:, None],
        "psi": np.where(fragile & (draws.random((n, M)) < 0.7), np.nan, draws.normal(-5, 2.5, (n, M))),
    }
    for arm in ("image", "blind"):
        found[f"{arm} graded"] = ~(fragile & (draws.random((n, M)) < 0.6))
        # A sample without any grade is in no table.
        found[f"{arm} graded"][:, 0] = True
    return found


def arm_of(key: str) -> str:
    """The arm whose rollouts a part of the evidence belongs to."""
    return "blind" if key.startswith("blind") else "image"


@pytest.mark.parametrize("name", CONFIGURATIONS)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30))
@settings(max_examples=120, deadline=None)
def test_no_completion_changes_a_settled_verdict(name: str, seed: int, n: int) -> None:
    config = configure(name)
    rule = find_stopping_rule(config)
    assert rule is not None
    draws = np.random.default_rng(seed)
    evidence = evidence_from(draws, n)
    seen = {arm: draws.integers(1, M + 1, n) for arm in ("image", "blind")}
    partial = table_of(evidence, seen)
    settled = rule.settled(partial, scores_of(partial, config), config)
    expected = verdicts(table_of(evidence, full(n)), config)
    for _ in range(6):
        other = evidence_from(draws, n)
        mixed = {
            key: np.where(np.arange(M) < seen[arm_of(key)][:, None], evidence[key], other[key]) for key in evidence
        }
        found = verdicts(table_of(mixed, full(n)), config)
        np.testing.assert_array_equal(found[settled], expected[settled])


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_sampling_in_waves_ends_with_the_verdicts_of_the_full_run_and_saves_rollouts(name: str) -> None:
    config = configure(name)
    rule = find_stopping_rule(config)
    assert rule is not None
    n = 300
    evidence = evidence_from(np.random.default_rng(5), n, fragile_share=0.05)
    seen = {"image": np.zeros(n, int), "blind": np.zeros(n, int)}
    for arm, wanted in [*rule.waves(config), ("image", M), ("blind", M)]:
        usable = (seen["image"] > 0) & (seen["blind"] > 0)
        table = table_of(evidence, seen)
        done = usable & rule.settled(table, scores_of(table, config), config)
        seen[arm] = np.where(done, seen[arm], np.maximum(seen[arm], wanted))
    table = table_of(evidence, seen)
    settled = rule.settled(table, scores_of(table, config), config)
    assert settled.all()
    # Any completion has the verdicts of the full run: the one with every missing rollout wrong, for example.
    filled = {
        key: np.where(
            np.arange(M) < seen[arm_of(key)][:, None],
            evidence[key],
            np.nan if key == "psi" else key.endswith("graded"),
        )
        for key in evidence
    }
    filled = {key: value.astype(evidence[key].dtype) for key, value in filled.items()}
    expected = verdicts(table_of(evidence, full(n)), config)
    np.testing.assert_array_equal(verdicts(table_of(filled, full(n)), config), expected)
    assert sum(missing(table, arm).sum() for arm in ("image", "blind")) > 0  # type: ignore[arg-type]


def test_a_definition_that_needs_every_rollout_is_not_curtailed() -> None:
    for flags in (
        {"selection.keep": 0.1},
        {"selection.lambda_a": "auto"},
        {"selection.selector": "top", "selection.score": "discrepancy"},
        {"selection.selector": "a-plugins-own"},
    ):
        assert find_stopping_rule(load_config(flags=flags)) is None


def test_it_is_on_by_default_only_where_no_verdict_depends_on_other_samples() -> None:
    on = {name for name in CONFIGURATIONS if curtails_by_default(configure(name))}
    assert on == {"paper, no DRM", "random", "band"}
