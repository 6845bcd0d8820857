"""Reward functions: the numbers of our grading, under TRL's signature, on any text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rap_plugin.errors import RapError
from rap_plugin.trl_hooks import accuracy_reward, format_reward, make_reward
from rap_plugin.trl_hooks.rewards import question_of, text_of

PROMPT = [{"role": "user", "content": [{"type": "image", "image": object()}, {"type": "text", "text": "What is 3+5?"}]}]
RIGHT = "<think>3+5=8</think>\\boxed{8}"


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def test_right_is_one_wrong_is_zero_and_what_cannot_be_graded_is_none() -> None:
    completions = [said(RIGHT), said("\\boxed{9}"), said(RIGHT), said(RIGHT)]
    rewards = accuracy_reward([PROMPT] * 4, completions, [[1]] * 4, answer=["8", "8", "", ["8", "9"]], role=["x"] * 4)
    assert rewards == [1.0, 0.0, None, None]


def test_a_plain_text_is_rewarded_like_a_conversation() -> None:
    assert accuracy_reward(["What is 3+5?"] * 2, [RIGHT, "7"], solution=["8", "8"]) == [1.0, 0.0]


def test_the_answer_column_is_found_by_name_or_given() -> None:
    columns = {"ground_truth": ["8"], "other": ["9"]}
    assert accuracy_reward([PROMPT], [said(RIGHT)], **columns) == [1.0]
    assert make_reward(answer="other")([PROMPT], [said(RIGHT)], **columns) == [0.0]


def test_an_empty_column_is_not_taken_for_the_gold_answers() -> None:
    columns = {"final_answer": [None], "answer": ["8"]}
    assert accuracy_reward([PROMPT], [said(RIGHT)], **columns) == [1.0]


@pytest.mark.parametrize("answer", [None, "gold"])
def test_a_missing_answer_column_is_one_line_that_names_the_columns(answer: str | None) -> None:
    with pytest.raises(RapError, match=r"columns: row; name one with make_reward\(answer=") as raised:
        make_reward(answer=answer)([PROMPT], [said(RIGHT)], row=[1], trainer_state=object(), log_metric=print)
    assert "\n" not in str(raised.value)


def test_the_options_of_a_multiple_choice_question_come_from_the_prompt() -> None:
    prompt = [{"role": "user", "content": "Which is it?\nA. red\nB. blue"}]
    assert accuracy_reward([prompt] * 2, [said("\\boxed{blue}"), said("The answer is A.")], answer=["B", "B"]) == [
        1.0,
        0.0,
    ]


def test_the_format_reward_wants_thought_and_box() -> None:
    assert format_reward([PROMPT] * 3, [said(RIGHT), said("\\boxed{8}"), ""], [[1]] * 3, answer=["8"] * 3) == [
        1.0,
        0.0,
        0.0,
    ]


def test_accuracy_and_format_can_be_weighed_as_the_released_code_does() -> None:
    reward = make_reward("math", format_weight=0.1, name="released")
    assert reward.__name__ == "released"
    assert reward([PROMPT] * 3, [said(RIGHT), said("8"), said("<think>a</think>\\boxed{7}")], answer=["8"] * 3) == [
        1.0,
        0.9,
        0.1,
    ]


def test_a_users_own_function_becomes_a_reward(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def closeness(response, gold):\n    return 1 / (1 + abs(len(response) - int(gold)))\n")
    reward = make_reward(f"{file}:closeness")
    assert reward.__name__ == "closeness_reward"
    assert reward([PROMPT] * 2, [said("abc"), said("abcd")], answer=["3", "3"]) == [1.0, 0.5]


def test_an_unknown_grader_is_refused_by_name() -> None:
    with pytest.raises(RapError, match="no grader 'mths'"):
        make_reward("mths")


def test_a_completion_that_would_never_end_to_compare_costs_its_deadline_and_no_other_reward() -> None:
    hostile = [
        "\\boxed{" + "9^" * 30 + "9}",
        "\\boxed{" + "{" * 5000 + "}",
        "\\boxed{" + "\\frac" * 20000,
        "\ud800\x00" * 1000,
    ]
    reward = make_reward("math", timeout_s=1.0, workers=1)
    rewards = reward([PROMPT] * 5, [said(text) for text in [*hostile, RIGHT]], answer=["\\sqrt{7}"] * 4 + ["8"])
    assert rewards[-1] == 1.0
    assert all(number in (0.0, None) for number in rewards[:-1])


def test_the_share_without_a_reward_goes_to_trls_log() -> None:
    seen: dict[str, float] = {}
    accuracy_reward([PROMPT] * 2, [said(RIGHT)] * 2, answer=["8", ""], log_metric=seen.__setitem__)
    assert seen == {"rap/ungraded": 0.5}


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        ("8", "8"),
        (said("8"), "8"),
        ([*said("call"), {"role": "tool", "content": "1"}, *said("9")], "9"),
        ([{"role": "assistant", "content": None}], ""),
        ([], ""),
        (None, ""),
        ([{"role": "assistant", "content": [{"type": "text", "text": "8"}]}], "8"),
    ],
)
def test_the_text_of_a_completion_is_its_last_assistant_message(completion: Any, text: str) -> None:
    assert text_of(completion) == text


def test_a_prompts_question_is_read_as_a_selection_reads_it() -> None:
    assert question_of(PROMPT) == "<image>What is 3+5?"
    assert question_of([{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}]) == "Q"
    assert question_of("Q") == "Q"
    assert question_of([]) == ""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"format_weight": 2}, "format_weight: .*less than or equal to 1"),
        ({"timeout_s": -1}, "timeout_s: .*greater than 0"),
        ({"workers": 0}, "workers: "),
        ({"rtol": -1}, "rtol: "),
        ({"right_at": "half"}, "right_at: "),
    ],
)
def test_options_that_a_selection_would_refuse_are_refused_here(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(RapError, match=said):
        make_reward(**wrong)


def test_golds_of_a_data_set_in_a_tensor_format_are_their_values() -> None:
    golds = [torch.tensor(8), np.int64(8), torch.tensor([8.0]), 8]
    assert accuracy_reward([PROMPT] * 4, [said(RIGHT)] * 4, answer=golds) == [1.0] * 4
