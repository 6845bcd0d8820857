"""The reward of R-GRPO, term by term, in both presets."""

from __future__ import annotations

import pytest

from rap_plugin.errors import RapError
from rap_plugin.grading import Grade, GradingOptions, open_grader
from rap_plugin.vlm_r3.reward import RewardTerms, judged_right, region_reward, reward_terms, well_closed
from rap_plugin.vlm_r3.trace import Look, Trace

BOX = '{"bbox_2d": [1, 2, 30, 40]}'
SHOWN = Look(0, BOX, 0, (1, 2, 31, 41), (60, 80))
AGAIN = Look(1, BOX, 0, (1, 2, 31, 41), problem="this region was shown already")
OTHER = Look(1, '{"bbox_2d": [5, 5, 9, 9]}', 0, (5, 5, 10, 10), (20, 20))
BROKEN = Look(0, '{"bbox_2d": [1, 2', problem="the box is no valid JSON")
OUTSIDE = Look(0, '{"bbox_2d": [2000, 2000, 2010, 2010]}', problem="the box lies outside the image")


def trace_of(*segments: str, looks: tuple[Look, ...] = ()) -> Trace:
    return Trace(segments, tuple("" for _ in segments), looks, "answer", 10)


LOOKED = trace_of("<think>Where is it? " + BOX, "There. </think><answer>7</answer>", looks=(SHOWN,))


@pytest.mark.parametrize(
    ("preset", "format", "length"),
    [("released", 0.5, 0.10), ("paper", 1.0, 0.001 * len("There. </think>"))],
)
def test_a_right_answer_with_a_look_gets_every_term(preset: str, format: float, length: float) -> None:
    found = region_reward(LOOKED, True, reward_terms(preset))
    assert (found.accuracy, found.format, found.region) == (1.0, format, 0.5)
    assert found.length == pytest.approx(length)
    assert found.total == pytest.approx(1.5 + format + length)


def test_a_wrong_answer_gets_nothing_for_looking() -> None:
    found = region_reward(LOOKED, False, reward_terms("released"))
    assert (found.accuracy, found.region) == (0.0, 0.0)
    assert found.format == 0.5


@pytest.mark.parametrize(
    ("looks", "worth"),
    [
        ((), 0.0),
        ((SHOWN,), 0.2),
        ((SHOWN, AGAIN), 0.2),
        ((SHOWN, OTHER), 0.4),
        ((SHOWN, OUTSIDE), 0.2),
        ((SHOWN, BROKEN), 0.0),
    ],
)
def test_regions_count_once_each_and_not_at_all_beside_broken_json(looks: tuple[Look, ...], worth: float) -> None:
    terms = RewardTerms(region=0.2, region_cap=0.9)
    assert region_reward(trace_of(BOX, "<answer>1</answer>", looks=looks), True, terms).region == pytest.approx(worth)


def test_the_term_of_the_regions_is_capped() -> None:
    looks = tuple(Look(n, BOX, 0, (n, 0, n + 20, 20), (40, 40)) for n in range(5))
    assert region_reward(trace_of(BOX, looks=looks), True, reward_terms("paper")).region == 0.5


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("so <answer>7</answer>", True),
        ("so <answer>7</answer> \n", True),
        ("so <answer>7</answer> and more", False),
        ("so <answer> </answer>", False),
        ("so <answer>7", False),
        ("7</answer>", False),
        ("<answer>7</answer><answer></answer>", False),
    ],
)
def test_the_format_is_an_answer_that_ends_the_turn(text: str, closed: bool) -> None:
    assert well_closed(trace_of(text)) is closed


def test_the_shortest_segment_counts_without_its_box_and_without_the_answer() -> None:
    terms = RewardTerms(length=1.0, length_cap=100.0)
    assert region_reward(LOOKED, True, terms).length == len("There. </think>")
    assert region_reward(trace_of(BOX, "long enough <answer>1</answer>", looks=(SHOWN,)), True, terms).length == 0


def test_known_evidence_is_a_term_where_it_is_asked_for() -> None:
    held = region_reward(LOOKED, True, reward_terms("released", evidence=0.3), [(1, 2, 31, 41)])
    missed = region_reward(LOOKED, True, reward_terms("released", evidence=0.3), [(500, 500, 520, 520)])
    assert held.evidence == pytest.approx(0.3)  # the same box
    assert missed.evidence == 0.0
    assert region_reward(LOOKED, True, reward_terms("released"), [(1, 2, 31, 41)]).evidence == 0.0


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(RapError, match="released, paper"):
        reward_terms("papers")


def test_rules_come_first_and_the_judge_sees_only_what_they_call_wrong() -> None:
    asked: list[str] = []

    def judge(question: str, gold: str, answer: str) -> bool:
        asked.append(answer)
        return answer == "scarlet"

    grader = open_grader("text", options=GradingOptions())
    answers = ["Red.", "crimson", "scarlet", "green", "", "3/4", "3"]
    golds = ["red", "red/crimson", "red", "red", "red", "3/4", "3/4"]
    found = judged_right(grader, answers, golds, ["?"] * 7, judge)
    assert found == [True, True, True, False, False, True, False]
    assert asked == ["scarlet", "green", "3"]
    assert judged_right(grader, ["x"], [" "], ["?"], judge) == [None]


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("crimson", "red/crimson", True),
        ("red/crimson", "red/crimson", True),
        ("6", r"\pi/6", False),
        (r"\frac{\pi}{6}", r"\pi/6", True),
        ("h", "60 km/h", False),
        ("60 km", "60 km/h", False),
        ("60 km/h", "60 km/h", True),
        ("A", "N/A", False),
        ("n/a", "N/A", True),
        ("IP", "TCP/IP", False),
        ("2", "1 1/2", False),
        ("1.5", "1 1/2", True),
        ("2020", "12/05/2020", False),
        (r"3} \boxed{4", "4", False),
        (r"4} or \boxed{3", "4", False),
        (r"\boxed{3} or \boxed{4}", "4", False),
        (r"\boxed{4}", "4", True),
    ],
)
def test_no_part_of_one_answer_is_right_and_no_brace_lets_a_second_answer_count(
    answer: str, gold: str, right: bool
) -> None:
    grader = open_grader("auto", options=GradingOptions())
    assert judged_right(grader, [answer], [gold], [""]) == [right]


def test_what_the_rules_cannot_grade_is_unknown_and_the_judge_is_asked() -> None:
    grader = open_grader("auto", options=GradingOptions())
    assert judged_right(Undecided(), ["7", "red"], ["8", "red"], ["", ""]) == [None, True]
    assert judged_right(Undecided(), ["7"], ["8"], [""], lambda *asked: False) == [False]
    assert judged_right(Undecided(), ["7"], ["8"], [""], lambda *asked: None) == [None]
    assert judged_right(grader, ["7"], ["<answer></answer>"], [""]) == [None]


class Undecided:
    """A grader whose workers never come to an end."""

    id = "undecided"

    def check_gold(self, gold: str, question: str = "") -> str | None:
        return None

    def grade(self, items):
        return [Grade("timeout", None, False, "", "too slow") for _ in items]

    def close(self) -> None:
        return None
