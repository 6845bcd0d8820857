"""Instalments: the budget holds, and what is chosen follows from the rollouts that they asked for alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rap_plugin.config import RunConfig, load_config
from rap_plugin.evidence.rollouts import COUNTED, RolloutColumns
from rap_plugin.evidence.table import EvidenceTable
from rap_plugin.plugins import get_plugins
from rap_plugin.posterior import instalments
from rap_plugin.posterior.completion import Completions, Rollouts, counted, first_rollouts
from rap_plugin.posterior.decision import decide_from_part
from rap_plugin.posterior.instalments import Step, follow_instalments
from rap_plugin.posterior.rule import Rule
from rap_plugin.rollout import ARMS
from rap_plugin.selectors.curtailed import decide
from tests.tables import make_table

M, N = 5, 80
BOTH = ("image", "blind")


@pytest.fixture(autouse=True)
def few_completions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight a step: what is tested here holds for any number."""
    monkeypatch.setattr(instalments, "DRAWN", 0)


def evidence(n: int = N, seed: int = 0) -> tuple[EvidenceTable, dict[Any, RolloutColumns]]:
    """A full run over samples that need the image, that do not, that are hard and that are never solved."""
    random = np.random.default_rng(seed)
    kind = random.choice(4, n, p=[0.3, 0.4, 0.2, 0.1])
    success = {"image": np.array([0.8, 0.97, 0.25, 0.0])[kind], "blind": np.array([0.03, 0.95, 0.05, 0.0])[kind]}
    rollouts: dict[Any, RolloutColumns] = {}
    for arm in ARMS:
        right = (random.random((n, M)) < success[arm][:, None]).astype(np.int64)
        fields = {name: np.ones((n, M), dtype=np.int64) for name in COUNTED}
        fields |= dict.fromkeys(("right", "exact", "high"), right) | {"cut": 0 * right}
        psi = {"psi_window_max_10": random.normal(-9, 2, (n, M)), "attention_entropy": random.random((n, M))}
        rollouts[arm] = RolloutColumns(fields, psi if arm == "image" else {})
    table = make_table([0] * n, [0] * n, rollouts=M, ids=[f"{i:032x}" for i in random.permutation(n)])
    table = replace(
        table, statistics={("psi_window_max_10", "max"): np.zeros(n), ("attention_entropy", "mean"): np.zeros(n)}
    )
    return counted(table, rollouts), rollouts


def rule(**flags: Any) -> Rule:
    config: RunConfig = load_config(flags={name.replace("__", "."): value for name, value in flags.items()})
    return Rule.of(config, get_plugins().registry())


def choose(table: EvidenceTable, rollouts: Rollouts, budget: int, by: Rule, arms: tuple[Any, ...] = BOTH) -> set[str]:
    step = follow_instalments(table, rollouts, by, budget, arms)
    assert not step.wanted
    decision = decide_from_part(step, by, budget)[0]
    return set(table.ids[decision.chosen].tolist())


def permuted(table: EvidenceTable, rollouts: Rollouts, order: np.ndarray) -> tuple[EvidenceTable, Any]:
    moved = {
        arm: RolloutColumns(
            {name: values[order] for name, values in columns.counts.items()},
            {name: values[order] for name, values in columns.statistics.items()},
        )
        for arm, columns in rollouts.items()
    }
    again = replace(
        table, sample=table.sample[order], ids=table.ids[order], rows=table.rows[order], images=table.images[order]
    )
    return counted(again, moved), moved


def test_the_selection_of_part_of_the_rollouts_is_nearer_to_the_full_one_than_another_full_run() -> None:
    table, rollouts = evidence(200)
    by = rule()
    full = set(table.ids[decide(table, by.config, by.scorers, by.selector)[0].chosen].tolist())
    found = choose(table, rollouts, int(0.5 * 200 * 2 * M), by)
    assert len(found & full) / len(found | full) > 0.75


@pytest.mark.parametrize("budget", [40, 320])
def test_no_more_is_asked_for_than_the_budget(budget: int) -> None:
    table, rollouts = evidence()
    step = follow_instalments(table, rollouts, rule(), budget, BOTH)
    assert 0.2 * budget < step.spent <= budget
    assert max(goal.max() for goal in step.goals.values()) <= M
    assert step.looked_at.sum() == min(N, budget // 2)


def test_the_blind_arm_waits_for_a_right_answer_with_the_image() -> None:
    table, rollouts = evidence()
    step = follow_instalments(table, rollouts, rule(), 320, BOTH)
    asked = (step.goals["blind"] > 0) & (step.goals["image"] < M)
    assert asked.any()
    assert (step.table.arms["image"].right[asked] > 0).all()


def test_sampling_stops_where_no_verdict_is_open_whatever_is_left_of_the_budget() -> None:
    table, rollouts = evidence()
    step = follow_instalments(table, rollouts, rule(selection__drm=False, selection__ace=False), 2 * M * N, BOTH)
    assert not step.wanted
    assert step.spent < 0.9 * 2 * M * N


def test_neither_row_order_nor_further_evidence_changes_the_selection() -> None:
    table, rollouts = evidence()
    expected = choose(table, rollouts, 320, rule())
    assert choose(*permuted(table, rollouts, np.random.default_rng(5).permutation(N)), 320, rule()) == expected
    step = follow_instalments(table, rollouts, rule(), 320, BOTH)
    least = first_rollouts(rollouts, step.goals)
    assert choose(counted(table, least), least, 320, rule()) == expected
    assert choose(table, rollouts, 320, rule(sampling__seed=1)) != expected


def test_stopped_after_any_rollout_it_goes_on_to_the_same_end() -> None:
    """Rollouts become stored piece by piece, in an order that has nothing to do with the plan, as from many workers."""
    table, rollouts = evidence()
    end = follow_instalments(table, rollouts, rule(), 240, BOTH)
    stored = {arm: np.zeros(N, dtype=np.int64) for arm in rollouts}
    random = np.random.default_rng(1)
    start: Step | None = None
    for turn in range(60):
        seen = first_rollouts(rollouts, stored)
        step = follow_instalments(counted(table, seen), seen, rule(), 240, BOTH, start)
        if not step.wanted:
            break
        for arm in stored:
            some = random.random(N) < 0.9
            stored[arm] = np.where(some, np.maximum(stored[arm], step.goals[arm]), stored[arm])
        start = step if turn % 2 else None
    for arm in stored:
        np.testing.assert_array_equal(step.goals[arm], end.goals[arm])
        np.testing.assert_array_equal(stored[arm], end.goals[arm])


@pytest.mark.parametrize("name", ["band", "limr", "top", "random"])
def test_other_selectors_are_scored_by_instalments_too_and_only_in_the_arms_that_they_read(name: str) -> None:
    table, rollouts = evidence()
    by = rule(selection__selector=name, selection__keep=0.2)
    step = follow_instalments(table, rollouts, by, 240, ("image",))
    assert step.goals["blind"].sum() == 0
    assert abs(len(choose(table, rollouts, 240, by, ("image",))) - 0.2 * N) <= 4


def test_a_completion_keeps_what_was_sampled_and_fills_in_what_was_not() -> None:
    table, rollouts = evidence()
    goals = {"image": np.full(N, 3), "blind": np.full(N, 1)}
    seen = first_rollouts(rollouts, goals)
    full, outcomes = Completions(table, seen, 0).draw(0)
    for arm in ARMS:
        kept = goals[arm][0]
        np.testing.assert_array_equal(outcomes[arm][:, :kept], rollouts[arm].counts["right"][:, :kept])
        assert (full.arms[arm].stored == M).all()
    sampled = seen["image"].statistics["psi_window_max_10"]
    assert (full.statistic("psi_window_max_10") >= np.nanmax(sampled, axis=1)).all()
