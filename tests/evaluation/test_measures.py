"""Measures over records, against the official definitions."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path
from typing import Any

import pytest

from rap_plugin.evaluation import measures
from rap_plugin.evaluation.benchmarks import BENCHMARKS
from rap_plugin.evaluation.grade import BenchmarkGrade
from rap_plugin.evaluation.item import BenchmarkItem


def record(score: float | None, **groups: str) -> dict[str, Any]:
    return {"id": str(groups), "score": score, "said": "", "gold": "", "unread": 0, "unjudged": score is None, "judged": 0, "groups": groups}  # fmt: skip


def composite(problem: str, right: tuple[bool, ...]) -> list[dict[str, Any]]:
    steps = len(right) - 1
    places = [*(str(i + 1) for i in range(steps)), "multi"]
    return [record(float(r), problem=problem, key=f"{steps}steps_{p}") for p, r in zip(places, right, strict=True)]


def official_wemath() -> Any:
    """The official arithmetic as lmms-eval ships it, loaded as a file: importing the package changes how Pillow reads
    damaged images in this process."""
    found = importlib.util.find_spec("lmms_eval")
    if found is None or found.origin is None:
        pytest.skip("lmms-eval is not installed")
    path = Path(found.origin).parent / "tasks" / "wemath" / "wemath_utils.py"
    spec = importlib.util.spec_from_file_location("official_wemath", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_wemath_measures_are_the_official_ones_over_every_pattern() -> None:
    pandas = pytest.importorskip("pandas")
    official = official_wemath()
    patterns = [p for n in (3, 4) for p in itertools.product((False, True), repeat=n)]
    records = [one for i, pattern in enumerate(patterns) for one in composite(str(i), pattern)]
    rows = [{"ID": r["groups"]["problem"], "key": r["groups"]["key"], "joker": r["score"] == 1} for r in records]
    table = pandas.DataFrame(rows)
    merged = [official.process_steps_data(table[table["key"].str.contains(f"{n}steps")].copy(), n) for n in (2, 3)]
    counts, rates = official.compute_final_scores(official.calculate_metrics(*merged), len(patterns))
    found = measures.wemath(records)
    assert found is not None
    for name, other in (
        ("insufficient_knowledge", "InsufficientKnowledge_rate"),
        ("inadequate_generalization", "InadequateGeneralization_rate"),
        ("complete_mastery_loose", "CompleteMastery_loose_rate"),
        ("complete_mastery_strict", "CompleteMastery_strict_rate"),
        ("rote_memorization_loose", "RoteMemorization_loose_rate"),
        ("rote_memorization_strict", "RoteMemorization_strict_rate"),
    ):
        assert f"{found[name]:.2%}" == rates[other], name
    for kind in ("loose", "strict"):
        lost = (
            0.5 * counts["InadequateGeneralization"]
            + counts[f"RoteMemorization_{kind}"]
            + counts["InsufficientKnowledge"]
        )
        assert found[f"score_{kind}"] == pytest.approx(1 - lost / len(patterns))


def test_composite_problems_that_are_not_whole_do_not_count() -> None:
    assert measures.wemath(composite("1", (True, True, True))[:2]) is None
    whole = composite("1", (True, True, True)) + composite("2", (True, False, False))[:1]
    found = measures.wemath(whole)
    assert found is not None
    assert found["score_strict"] == 1.0


def test_unjudged_responses_are_left_out_of_accuracy_and_bounded() -> None:
    records = [record(1.0), record(0.0), record(None), record(None)]
    assert measures.accuracy(records) == 0.5
    assert measures.at_least(records) == 0.25
    assert measures.at_most(records) == 0.75
    assert measures.share("unjudged")(records) == 0.5
    assert measures.accuracy([record(None)]) is None


def test_pope_counts_an_unread_response_as_a_missed_yes() -> None:
    rows = [("yes", "yes"), ("yes", "no"), ("yes", ""), ("no", "yes"), ("no", "no")]
    records = [{**record(float(g == s)), "gold": g, "said": s} for g, s in rows]
    assert measures.precision(records) == 0.5
    assert measures.recall(records) == pytest.approx(1 / 3)
    assert measures.f1(records) == pytest.approx(0.4)
    assert measures.yes_ratio(records) == 0.4


def test_pairs_count_only_when_both_images_are_right() -> None:
    pairs = measures.all_right("pair", 2, "pair_accuracy")
    records = [
        record(1.0, pair="0"),
        record(1.0, pair="0"),
        record(1.0, pair="1"),
        record(0.0, pair="1"),
        record(1.0, pair="2"),
    ]
    assert pairs.of(records) == 0.5


def test_cv_bench_2d_is_the_mean_over_its_sources() -> None:
    official = next(one for one in BENCHMARKS["cv_bench"].measures if one.name == "official")
    records = [
        record(1.0, source="ADE20K"),
        record(0.0, source="COCO"),
        record(0.0, source="COCO"),
        record(1.0, source="COCO"),
    ]
    assert official.of(records) == pytest.approx((1 + 1 / 3) / 2)


def test_a_record_of_several_responses_is_their_mean() -> None:
    item = BenchmarkItem("1", "q", "3", "maths")
    grades = [
        BenchmarkGrade(1.0, "right", "3"),
        BenchmarkGrade(0.0, "unread", ""),
        BenchmarkGrade(None, "unjudged", "x", reason="r"),
        BenchmarkGrade(1.0, "right", "3", judged=True),
    ]
    held = measures.record_of(item, grades)
    assert held["score"] == pytest.approx(2 / 3)
    assert (held["unread"], held["unjudged"], held["judged"]) == (0.25, 0.25, 0.25)
