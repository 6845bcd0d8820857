"""Reward functions for TRL's trainers, with the numbers that our grading gives.

TRL calls `reward(prompts=, completions=, completion_ids=, **columns)` with one entry per completion, the data set's
columns among them, and takes a list of numbers; None means "no reward for this completion", which it leaves out of the
group instead of calling it 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Protocol

from rap_plugin.config import load_config
from rap_plugin.errors import RapError
from rap_plugin.grading import Grader, GradingOptions, open_grader
from rap_plugin.grading.base import GradeItem
from rap_plugin.grading.reading.answers import well_formatted
from rap_plugin.hosts.options import spelled
from rap_plugin.modality_gap.reward import reward_grader
from rap_plugin.plugins import get_plugins
from rap_plugin.samples.formats.base import RowProblem
from rap_plugin.samples.formats.columns import ANSWERS, find_column
from rap_plugin.samples.formats.messages import Message, looks_like_messages, problem_of, read_messages
from rap_plugin.samples.formats.values import gold_text
from rap_plugin.trl_hooks.options import spelling

OPTIONS = ("timeout_s", "workers", "format_weight", "rtol", "alternatives", "right_at")
"""Of `make_reward`, with the names and ranges of the configuration's section `grading`."""

NOT_COLUMNS = ("trainer_state", "log_extra", "log_metric", "environments")
"""What TRL passes by name besides the data set's columns."""


class Reward(Protocol):
    """A reward function as TRL's trainers call it; its name is how TRL logs it."""

    __name__: str

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Any], completion_ids: Any = None, **columns: Any
    ) -> list[float | None]: ...


def accuracy_reward(
    prompts: Sequence[Any], completions: Sequence[Any], completion_ids: Any = None, **columns: Any
) -> list[float | None]:
    """1.0 where the completion's answer is right, 0.0 where it is wrong, by grader `auto`.

    The gold answer is the first of the columns answer, label, ground_truth, .., solution that is there (RapError where
    none is). None where nothing can be said: an empty or unreadable gold answer, or a comparison that took too long.
    """
    return _grade(_open("auto", GradingOptions()), None, prompts, completions, columns)


def format_reward(
    prompts: Sequence[Any], completions: Sequence[Any], completion_ids: Any = None, **columns: Any
) -> list[float | None]:
    """1.0 where the whole completion is `<think>..</think> .. \\boxed{..}`, else 0.0."""
    return [1.0 if well_formatted(text_of(completion)) else 0.0 for completion in completions]


def make_reward(
    grader: str = "auto",
    *,
    answer: str | None = None,
    name: str | None = None,
    format_weight: float = 0.0,
    rtol: float = 0.0,
    alternatives: bool = False,
    right_at: float = 0.5,
    timeout_s: float = 5.0,
    workers: int = 2,
) -> Reward:
    """A reward function of any grader: math, choice, text, auto, a plugin's, or `path/file.py:function`.

    `answer` names the column of the gold answer; `name` is the name in TRL's logs (default: the grader's and `_reward`).
    The other options are those of the configuration's section `grading`: with `format_weight` w the reward is (1 - w) *
    accuracy + w * format, as the released RAP code has it at 0.1. Raises RapError for an unknown grader.
    """
    given = (timeout_s, workers, format_weight, rtol, alternatives, right_at)
    with spelled(spelling()):
        checked = load_config(flags={f"grading.{name}": value for name, value in zip(OPTIONS, given, strict=True)})
    options = GradingOptions(**{name: getattr(checked.grading, name) for name in OPTIONS})
    opened = _open(grader, options)

    def reward(
        prompts: Sequence[Any], completions: Sequence[Any], completion_ids: Any = None, **columns: Any
    ) -> list[float | None]:
        return _grade(opened, answer, prompts, completions, columns)

    reward.__name__ = name or f"{grader.rpartition(':')[2] or grader}_reward"
    return reward


def modality_gap_reward(tolerance: str = "one_percent", answer: str | None = None) -> Reward:
    """The reward of the modality-gap work: 0.9 accuracy + 0.1 format, exactly 1.0 where both are right.

    `tolerance` is exact (as published) or one_percent; `answer` names the column of the gold answer.
    """
    grader = reward_grader(tolerance)

    def reward(
        prompts: Sequence[Any], completions: Sequence[Any], completion_ids: Any = None, **columns: Any
    ) -> list[float | None]:
        return _grade(grader, answer, prompts, completions, columns)

    reward.__name__ = "modality_gap_reward"
    return reward


@cache
def _open(name: str, options: GradingOptions) -> Grader:
    # One set of workers per grader, however many trainers and reward functions there are; started when first needed.
    return open_grader(name, options=options, registry=get_plugins().registry().things["graders"])


def _grade(
    grader: Grader,
    answer: str | None,
    prompts: Sequence[Any],
    completions: Sequence[Any],
    columns: Mapping[str, Any],
) -> list[float | None]:
    golds = columns[_answer_column(columns, answer)]
    items: list[GradeItem] = []
    places: list[int] = []
    for at, (prompt, completion, gold) in enumerate(zip(prompts, completions, golds, strict=True)):
        text, question = _gold(gold), question_of(prompt)
        # The same check that keeps such rows out of a selection.
        if text is not None and grader.check_gold(text, question) is None:
            items.append(GradeItem(text_of(completion), text, question))
            places.append(at)
    rewards: list[float | None] = [None] * len(completions)
    for at, grade in zip(places, grader.grade(items), strict=True):
        rewards[at] = grade.reward
    log = columns.get("log_metric")
    if log is not None and rewards:
        log("rap/ungraded", rewards.count(None) / len(rewards))
    return rewards


def _answer_column(columns: Mapping[str, Any], wanted: str | None) -> str:
    known = [name for name in columns if name not in NOT_COLUMNS]

    def is_filled(name: str) -> bool:
        return any(value not in (None, "") for value in columns[name])

    # As the selection reads them: a column without values is no column of gold answers where there is another.
    usual = find_column(known, ANSWERS, is_filled) or find_column(known, ANSWERS)
    found = wanted if wanted in known else usual if wanted is None else None
    if found is None:
        what = f"no column {wanted!r}" if wanted is not None else "cannot tell which column holds the gold answers"
        raise RapError(f"reward: {what}; columns: {', '.join(known) or 'none'}; name one with make_reward(answer=..)")
    return found


def _gold(value: Any) -> str | None:
    # A data set with a format of tensors gives golds as such.
    plain = value.tolist() if hasattr(value, "tolist") else value
    try:
        return gold_text(plain)
    except RowProblem:
        return None


def text_of(completion: Any) -> str:
    """What the model wrote: a text, or the last assistant message of a conversation; "" where there is neither."""
    if isinstance(completion, str):
        return completion
    for message in reversed(_messages(completion)):
        if message.role == "assistant":
            return message.text
    return ""


def question_of(prompt: Any) -> str:
    """A prompt's question as a selection reads it, with `<image>` where the images are; "" where there is none."""
    if isinstance(prompt, str) and not looks_like_messages(prompt):
        return prompt
    try:
        return problem_of([Message(message.role, message.text) for message in _messages(prompt)], ())[0]
    except RowProblem:
        return ""


def _messages(value: Any) -> list[Message]:
    try:
        return read_messages(value)
    except RowProblem:
        return []
