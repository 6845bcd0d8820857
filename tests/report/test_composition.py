"""Composition: every sample in one part of each division, and the shares that moved most are named."""

from __future__ import annotations

import pytest

from rap_plugin.report.composition import divide, kind_of_answer, moved_most
from tests.fabricate import Fabricated


def test_every_division_counts_every_sample_once_before_and_after(made: Fabricated) -> None:
    divisions = divide(made.store, made.selection, made.pool, None)
    assert divisions[0].title == "column role"
    for division in divisions:
        assert sum(part.before for part in division.parts) == len(made.selection.table)
        assert sum(part.after for part in division.parts) == made.selection.decision.chosen.sum()


def test_a_part_counts_the_samples_of_its_role(made: Fabricated) -> None:
    roles = made.pool.column("role", made.selection.table.rows.tolist())
    chosen = made.selection.decision.chosen.tolist()
    for part in divide(made.store, made.selection, made.pool, None)[0].parts:
        assert part.before == roles.count(part.value)
        assert part.after == sum(taken for role, taken in zip(roles, chosen, strict=True) if role == part.value)


def test_the_largest_moves_come_first(made: Fabricated) -> None:
    moved = [abs(part.moved) for _, part, _ in moved_most(divide(made.store, made.selection, made.pool, None))]
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > 0.1


@pytest.mark.parametrize(
    ("gold", "kind"),
    [
        ("B", "option letter"),
        ("(c).", "option letter"),
        ("Yes", "yes or no"),
        ("-1,200.5", "number"),
        ("$45\\%$", "number"),
        ("12 cm", "number with a unit"),
        ("\\frac{1}{2}", "formula"),
        ("x = 3", "formula"),
        ("a red ball", "words"),
        ("", "words"),
    ],
)
def test_an_answer_has_a_kind(gold: str, kind: str) -> None:
    assert kind_of_answer(gold) == kind
