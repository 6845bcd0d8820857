"""RAP `paper`: against a literal reading of the method, sample by sample."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rap_plugin.config import load_config
from rap_plugin.evidence.table import EvidenceTable
from rap_plugin.selectors.base import Decision
from rap_plugin.selectors.rap import select_rap
from tests.tables import graded, make_table, scores_of

M = 5


def literal_paper(
    samples: list[tuple[str, int, int, float]], lambda_c: float, lambda_a: float
) -> tuple[set[str], set[str]]:
    """(core without easy, replacements) by the words of the method; samples are (id, right with, right without, log psi)."""
    core, easy = [], []
    for sample in samples:
        _, image, blind, log_psi = sample
        if (image - blind) / M > lambda_c and not log_psi > math.log(lambda_a) and image > 0:
            core.append(sample)
            if image == M:
                easy.append(sample)
    candidates = [s for s in samples if s not in core and 0 < s[1] < M and not s[3] > math.log(lambda_a)]
    candidates.sort(key=lambda s: (-(M - s[1]), -(s[1] - s[2]), s[0]))
    hard = candidates[: len(easy)]
    return {s[0] for s in core if s not in easy}, {s[0] for s in hard}


samples_strategy = st.lists(
    st.tuples(st.integers(0, M), st.integers(0, M), st.one_of(st.floats(-30, 3), st.just(math.nan))),
    min_size=1,
    max_size=40,
)


@given(samples_strategy, st.sampled_from([0.0, 0.2, 0.4, 0.5, 0.6]), st.sampled_from([0.01, 0.1, 0.5]))
@settings(max_examples=200, deadline=None)
def test_it_selects_what_the_method_says(drawn: list[tuple[int, int, float]], lambda_c: float, lambda_a: float) -> None:
    named = [(f"{i:032x}", *sample) for i, sample in enumerate(drawn)]
    table = make_table([s[1] for s in named], [s[2] for s in named], [s[3] for s in named])
    config = load_config(flags={"selection.lambda_c": lambda_c, "selection.lambda_a": lambda_a})
    decision = select_rap(table, scores_of(table), config)
    core, hard = literal_paper(named, lambda_c, lambda_a)
    assert set(table.ids[decision.verdicts == "selected"]) == core
    assert set(table.ids[decision.verdicts == "hard_replacement"]) == hard
    assert all(decision.reasons)


@given(samples_strategy, st.randoms(use_true_random=False), st.sampled_from([None, 0.1, 0.3]))
@settings(max_examples=100, deadline=None)
def test_row_order_does_not_matter(drawn: list[tuple[int, int, float]], shuffle: Any, keep: float | None) -> None:
    config = load_config(flags={"selection.keep": keep})
    named = [(f"{i:032x}", *sample) for i, sample in enumerate(drawn)]

    def verdicts(order: list[Any]) -> dict[str, str]:
        table = make_table(
            [s[1] for s in order], [s[2] for s in order], [s[3] for s in order], ids=[s[0] for s in order]
        )
        return dict(zip(table.ids, select_rap(table, scores_of(table), config).verdicts.tolist(), strict=True))

    shuffled = list(named)
    shuffle.shuffle(shuffled)
    assert verdicts(named) == verdicts(shuffled)


def test_each_verdict_has_its_case() -> None:
    cases = {
        "selected": (4, 0, -20.0),
        "easy": (5, 1, -20.0),
        "hard_replacement": (1, 0, -20.0),
        "language_prior": (4, 4, -20.0),
        "attention_biased": (4, 0, 0.0),
        "unsolved": (0, 0, -20.0),
    }
    table = make_table(*(list(column) for column in zip(*cases.values(), strict=True)))
    assert select_rap(table, scores_of(table), load_config()).verdicts.tolist() == list(cases)


def test_samples_without_an_image_have_a_verdict_of_their_own() -> None:
    table = make_table([0, 4], [0, 0], images=[0, 1])
    decision = select_rap(table, scores_of(table), load_config())
    assert decision.verdicts.tolist() == ["text_only", "selected"]


POOL = st.lists(
    st.tuples(st.integers(0, M), st.integers(0, M), st.floats(-30, 3), st.integers(1, M)), min_size=1, max_size=60
)
OPTIONS = st.fixed_dictionaries(
    {
        "selection.lambda_c": st.sampled_from([0.0, 0.2, 0.5, 0.7]),
        "selection.lambda_a": st.sampled_from([0.1, "auto"]),
        "selection.drm": st.booleans(),
        "selection.cde": st.booleans(),
        "selection.ace": st.booleans(),
        "selection.hard_requires_discrepancy": st.booleans(),
        "selection.hard_requires_confidence": st.booleans(),
    }
)


def table_from(drawn: list[tuple[int, int, float, int]]) -> EvidenceTable:
    image, blind, psi, seen = (list(column) for column in zip(*drawn, strict=True))
    image, blind = np.minimum(image, seen).tolist(), np.minimum(blind, seen).tolist()
    return graded(make_table(image, blind, psi), image=seen, blind=seen)


def decide(table: EvidenceTable, flags: dict[str, Any], keep: float | None) -> Decision:
    config = load_config(flags={**flags, "selection.keep": keep})
    return select_rap(table, scores_of(table, config), config)


@given(POOL, OPTIONS, st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)))
@settings(max_examples=300, deadline=None)
def test_a_smaller_budget_takes_a_part_of_what_a_larger_one_takes(
    drawn: list[tuple[int, int, float, int]], flags: dict[str, Any], budgets: tuple[float, float]
) -> None:
    table = table_from(drawn)
    small, large = (decide(table, flags, keep) for keep in sorted(budgets))
    for verdict in ("selected", "hard_replacement"):
        assert set(table.ids[small.verdicts == verdict]) <= set(table.ids[large.verdicts == verdict])


@given(POOL, OPTIONS, st.floats(0.01, 1))
@settings(max_examples=200, deadline=None)
def test_a_budget_takes_nothing_that_no_threshold_would_take(
    drawn: list[tuple[int, int, float, int]], flags: dict[str, Any], keep: float
) -> None:
    table = table_from(drawn)
    decision, scores = decide(table, flags, keep), scores_of(table)
    loosest = decide(table, {**flags, "selection.lambda_c": 0.0}, None)
    assert set(table.ids[decision.chosen]) <= set(table.ids[loosest.chosen])
    assert (scores["difficulty"][decision.chosen] < 1).all()
    if flags["selection.drm"]:
        assert (scores["difficulty"][decision.chosen] > 0).all()
    if flags["selection.cde"]:
        assert (scores["discrepancy"][decision.verdicts == "selected"] > 0).all()
    assert (np.minimum(table.arms["image"].graded, table.arms["blind"].graded)[decision.chosen] >= 3).all()


@given(POOL, OPTIONS)
@settings(max_examples=200, deadline=None)
def test_a_budget_of_the_selections_own_size_changes_nothing(
    drawn: list[tuple[int, int, float, int]], flags: dict[str, Any]
) -> None:
    table = table_from(drawn)
    whole = decide(table, flags, None)
    if whole.chosen.any():
        same = decide(table, flags, int(whole.chosen.sum()) / len(table))
        assert same.verdicts.tolist() == whole.verdicts.tolist()


def random_pool(n: int) -> EvidenceTable:
    draws = np.random.default_rng(3)
    image = draws.integers(0, M + 1, n)
    blind = np.minimum(draws.integers(0, M + 1, n), image)
    return make_table(image.tolist(), blind.tolist(), draws.normal(-8, 3, n).tolist())


@pytest.mark.parametrize("keep", [0.05, 0.1, 0.25, 0.4])
def test_a_budget_is_met_exactly_where_the_pool_has_enough(keep: float) -> None:
    decision = decide(random_pool(400), {}, keep)
    assert decision.chosen.sum() == round(keep * 400)
    assert "lambda_c" in decision.thresholds


def test_a_budget_keeps_the_proportion_of_core_to_replacements_and_the_hardest_of_both() -> None:
    table = random_pool(400)
    scores = scores_of(table)
    whole = decide(table, {}, None)
    core_share = (whole.verdicts == "selected").sum() / whole.chosen.sum()
    for keep in (0.03, 0.06, 0.1, 0.14):
        assert keep * 400 < whole.chosen.sum()
        decision = decide(table, {}, keep)
        assert abs((decision.verdicts == "selected").sum() - core_share * keep * 400) <= 1
        assert (scores["discrepancy"][decision.verdicts == "selected"] > 0.5).all()
        for verdict in ("selected", "hard_replacement"):
            kept, left = decision.verdicts == verdict, (whole.verdicts == verdict) & ~decision.chosen
            assert scores["difficulty"][kept].min() >= scores["difficulty"][left].max()


def test_a_budget_above_the_selection_lowers_lambda_c_and_says_so() -> None:
    table = make_table([4, 3, 3, 2, 2], [0, 1, 1, 1, 2])
    decision = decide(table, {}, 0.6)
    assert decision.verdicts.tolist() == ["selected", "selected", "selected", "language_prior", "language_prior"]
    assert decision.thresholds["lambda_c"] == 0.2
    assert any("lowers lambda_c from 0.5 to 0.2" in note for note in decision.notes)
    assert decide(table, {}, 0.4).verdicts.tolist()[1:3] == ["selected", "not_chosen"]


def test_a_selection_without_a_core_is_said() -> None:
    table = make_table([5, 1, 1], [0, 1, 1])
    assert any("no selected sample passes CDE" in note for note in decide(table, {}, None).notes)


def test_a_budget_that_cannot_be_met_is_said_and_not_filled_with_language_priors() -> None:
    table = make_table([3] * 10, [3] * 8 + [0] * 2)
    decision = select_rap(table, scores_of(table), load_config(flags={"selection.keep": 0.5}))
    assert decision.counts() == {"selected": 2, "language_prior": 8}
    assert any("budget is 5 samples, but only 2 qualify" in note for note in decision.notes)


def test_a_judgement_needs_most_of_its_rollouts_or_as_many_as_are_asked_for() -> None:
    table = graded(make_table([2, 4, 0, 5], [0, 0, 0, 0]), image=[2, 5, 1, 5], blind=[5, 2, 5, 5])
    decision = decide(table, {}, None)
    assert decision.verdicts.tolist() == ["too_few_graded", "too_few_graded", "too_few_graded", "easy"]
    assert decision.reasons[0] == ("2 graded rollouts with the image and 5 without, of 5 each: too few to judge")
    assert decide(table, {"selection.min_graded": 2}, None).verdicts.tolist()[:2] == ["easy", "selected"]
    # What is asked for can be no more than is sampled.
    assert decide(table, {"selection.min_graded": 9}, None).verdicts.tolist()[3] == "easy"


def test_never_right_because_cut_off_is_told_from_never_right() -> None:
    table = make_table([0, 0, 3], [0, 0, 0])
    arms = {**table.arms, "image": replace(table.arms["image"], cut=np.array([3, 2, 5]))}
    cut = replace(table, arms=arms)
    for preset in ("paper", "released"):
        decision = decide(cut, {"selection.preset": preset}, None)
        assert decision.verdicts.tolist() == ["cut_off", "unsolved", "selected"], preset


def test_unmeasured_attention_passes_and_is_counted_or_is_discarded_where_that_is_asked_for() -> None:
    table = make_table([4, 4], [0, 0], [math.nan, -20.0])
    decision = select_rap(table, scores_of(table), load_config())
    assert decision.counts() == {"selected": 2}
    assert any("not measured for 1 of 2 samples: ACE does not judge them, they pass" in note for note in decision.notes)
    strict = decide(table, {"selection.unmeasured": "discard"}, None)
    assert strict.verdicts.tolist() == ["unmeasured", "selected"]
    assert any("they are discarded" in note for note in strict.notes)


def test_ace_that_flags_nothing_or_nearly_everything_is_said() -> None:
    inert = make_table([4] * 4, [0] * 4, [-20.0] * 4)
    assert any("inert" in note for note in select_rap(inert, scores_of(inert), load_config()).notes)
    degenerate = make_table([4] * 4, [0] * 4, [1.0, 1.0, 1.0, -20.0])
    assert any("degenerate" in note for note in select_rap(degenerate, scores_of(degenerate), load_config()).notes)


def test_an_automatic_threshold_is_the_pools_own_quantile() -> None:
    table = make_table([4] * 100, [0] * 100, list(np.linspace(-20, -1, 100)))
    decision = select_rap(table, scores_of(table), load_config(flags={"selection.lambda_a": "auto"}))
    assert decision.counts() == {"selected": 95, "attention_biased": 5}


def test_each_part_can_be_switched_off() -> None:
    table = make_table([4, 4, 5, 1], [4, 0, 0, 0], [-20.0, 1.0, -20.0, -20.0])

    def counts(**off: bool) -> dict[str, int]:
        config = load_config(flags={f"selection.{name}": value for name, value in off.items()})
        return select_rap(table, scores_of(table), config).counts()

    assert counts() == {"hard_replacement": 1, "language_prior": 1, "attention_biased": 1, "easy": 1}
    assert counts(drm=False) == {"selected": 1, "language_prior": 2, "attention_biased": 1}
    assert counts(ace=False)["selected"] == 1
    assert counts(cde=False, drm=False) == {"selected": 3, "attention_biased": 1}


def test_hard_replacements_can_be_asked_to_gain_from_the_image() -> None:
    table = make_table([5, 1, 2], [0, 3, 0])
    loose = select_rap(table, scores_of(table), load_config())
    strict = select_rap(table, scores_of(table), load_config(flags={"selection.hard_requires_discrepancy": True}))
    assert loose.verdicts.tolist() == ["easy", "hard_replacement", "language_prior"]
    assert strict.verdicts.tolist() == ["easy", "language_prior", "hard_replacement"]


def test_hard_replacements_can_be_spared_by_ace() -> None:
    table = make_table([5, 2, 1, 1], [0, 0, 3, 0], [-20.0, -20.0, 1.0, 1.0])
    paper = select_rap(table, scores_of(table), load_config())
    spared = select_rap(table, scores_of(table), load_config(flags={"selection.hard_requires_confidence": False}))
    assert paper.verdicts.tolist() == ["easy", "hard_replacement", "language_prior", "language_prior"]
    assert spared.verdicts.tolist() == ["easy", "language_prior", "language_prior", "hard_replacement"]
