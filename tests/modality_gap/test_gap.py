"""The gap over records: paired, with its interval, its test, agreement, length and renderings."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest

from rap_plugin.errors import RapError
from rap_plugin.modality_gap.gap import by_kind, measure_gap, sign_flip
from rap_plugin.modality_gap.records import FILE, Condition, GapRecord, read_records, write_records


def record(
    problem: str, condition: Condition, *right: int, recipe: str = "r", seed: int = 0, step: int = 0, kind: str = "k",
    rendering: str = "", answers: tuple[str | None, ...] = (), tokens: tuple[int, ...] = (),
) -> GapRecord:  # fmt: skip
    return GapRecord(recipe, seed, step, problem, kind, rendering, condition, tuple(map(float, right)), answers, tokens)


def test_accuracies_gap_and_pass_at_n_over_two_problems() -> None:
    gap = measure_gap(
        [
            record("a", "text", 1, 1, 0, 1, tokens=(10, 10, 10, 10)),
            record("a", "image", 0, 1, 0, 0, tokens=(4, 4, 4, 8)),
            record("b", "text", 1, 0, 0, 0),
            record("b", "image", 0, 0, 0, 0),
        ]
    )
    assert gap is not None
    assert (gap.text, gap.image, gap.gap) == (0.5, 0.125, 0.375)
    assert (gap.text_passed, gap.image_passed) == (1.0, 0.5)
    assert (gap.problems, gap.responses, gap.text_tokens, gap.image_tokens) == (2, 4, 10.0, 5.0)
    assert (gap.low, gap.high) == (0.25, 0.5)
    agreement = gap.agreement
    assert agreement.both == pytest.approx(0.75 * 0.25 / 2)
    assert agreement.both + agreement.text_only + agreement.image_only + agreement.neither == pytest.approx(1)
    assert agreement.same_answer is None


def test_problems_of_one_condition_are_left_out_and_counted() -> None:
    gap = measure_gap([record("a", "text", 1), record("a", "image", 0), record("b", "text", 0)])
    assert gap is not None
    assert (gap.problems, gap.unpaired, gap.text) == (1, 1, 1.0)
    assert measure_gap([record("a", "text", 1)]) is None


def test_renderings_of_a_problem_are_one_unit_with_their_spread() -> None:
    gap = measure_gap(
        [
            record("a", "text", 1, rendering="plain"),
            *(record("a", "image", right, rendering=name) for name, right in (("plain", 1), ("bold", 1), ("hand", 0))),
        ]
    )
    assert gap is not None
    assert (gap.problems, gap.image, gap.spread) == (1, pytest.approx(2 / 3), 1.0)
    assert gap.renderings == {"bold": 1.0, "hand": 0.0, "plain": 1.0}


def test_seeds_answer_the_same_problems_and_do_not_multiply_them() -> None:
    records = [
        record(f"{i}", c, right, seed=s)
        for s in range(3)
        for i in range(5)
        for c, right in (("text", 1), ("image", i % 2))
    ]  # type: ignore[arg-type]
    gap, one = measure_gap(records), measure_gap(records[:10])
    assert gap is not None
    assert one is not None
    assert (gap.problems, gap.low, gap.high, gap.p) == (5, one.low, one.high, one.p)


def test_same_answers_are_counted_over_all_pairs_and_right_ones_are_the_same() -> None:
    gap = measure_gap(
        [
            record("a", "text", 1, 0, answers=("1/2", "7")),
            record("a", "image", 1, 0, answers=("0.5", "7 "), rendering="x"),
            record("b", "text", 0, answers=(None,)),
            record("b", "image", 0, answers=(None,)),
        ]
    )
    assert gap is not None
    # Of a's four pairs the two right ones and the two sevens; b said nothing, which is no agreement.
    assert gap.agreement.same_answer == pytest.approx((2 / 4 + 0) / 2)


def test_the_sign_flip_test_is_the_exact_one_on_few_problems() -> None:
    values = np.array([0.5, 0.25, 0.75, -0.25, 0.5, 1.0])
    exact = np.mean([abs(np.dot(s, values)) >= abs(values.sum()) - 1e-9 for s in itertools.product((1, -1), repeat=6)])
    assert sign_flip(values) == pytest.approx(exact, abs=0.015)
    assert sign_flip(np.zeros(9)) == 1.0


def test_the_interval_covers_the_true_gap_about_as_often_as_it_says() -> None:
    rng = random.Random(3)
    covered = 0
    for trial in range(60):
        records = []
        for i in range(60):
            easy = rng.random()
            records.append(record(f"{i}", "text", *(int(rng.random() < 0.3 + 0.6 * easy) for _ in range(4))))
            records.append(record(f"{i}", "image", *(int(rng.random() < 0.1 + 0.6 * easy) for _ in range(4))))
        gap = measure_gap(records)
        assert gap is not None
        covered += gap.low <= 0.2 <= gap.high
        assert gap.p < 0.05 or trial, "a gap of 20 points over 60 problems is found"
    assert covered >= 51


def test_kinds_are_measured_apart() -> None:
    records = [record("a", "text", 1, kind="x"), record("a", "image", 1, kind="x"), record("b", "text", 1, kind="y")]
    kinds = by_kind([*records, record("b", "image", 0, kind="y")])
    assert {name: gap.gap for name, gap in kinds.items()} == {"x": 0.0, "y": 1.0}


def test_records_come_back_from_folders_the_last_of_the_same_counts(tmp_path: Path) -> None:
    first, again = (
        record("a", "text", 0, answers=("5",), tokens=(3,)),
        record("a", "text", 1, answers=("6",), tokens=(4,)),
    )
    write_records(tmp_path / "deep" / FILE, [first, record("a", "image", 1)])
    write_records(tmp_path / "deep" / FILE, [again])
    found, problems = read_records([tmp_path])
    assert (found, problems) == ([again, record("a", "image", 1)], [])


def test_damaged_lines_are_counted_and_nothing_else_is_lost(tmp_path: Path) -> None:
    good = json.dumps({"problem": "a", "condition": "text", "right": [True]})
    damage = [
        "", "{", "[]", "null", '{"problem": 1}', '{"problem": "a", "condition": "blind", "right": [1]}',
        '{"problem": "a", "condition": "text", "right": []}', '{"problem": "a", "condition": "text", "right": [2]}',
        '{"problem": "a", "condition": "text", "right": ["x"]}', '{"problem": "a", "condition": "text", "right": [NaN]}',
        '{"problem": "a", "condition": "text", "right": [1], "step": 1e999}', "[" * 100_000, "\udcff",
    ]  # fmt: skip
    (tmp_path / FILE).write_bytes("\n".join([*damage, good]).encode("utf-8", "surrogateescape"))
    found, problems = read_records([tmp_path])
    assert [r.right for r in found] == [(1.0,)]
    assert problems == [f"{tmp_path / FILE}: {len(damage)} lines cannot be read"]
    with pytest.raises(RapError, match=r"no gap\.jsonl here"):
        read_records([tmp_path / "nowhere"])
