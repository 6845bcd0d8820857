"""A rule-based reward for OpenRLHF: `--reward.remote_url "$(rap path openrlhf-reward)"`.

0.9 accuracy + 0.1 format, as RAP and EasyR1 train, by the grader `auto`: numbers and formulas, option letters, words.
OpenRLHF calls `reward_func` in threads of its engines, one response a call; it uses no signals, and what can hang runs in
worker processes with a deadline.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from rap_plugin.grading import Grade, GradeItem, GradingOptions, open_grader
from rap_plugin.grading.base import Grader
from rap_plugin.samples.formats.values import label_text

FORMAT_WEIGHT = 0.1
"""Share of the format `<think>..</think> .. \\boxed{..}` in the reward."""

UNGRADED = "rap_ungraded"
"""Name in `extra_logs`: 1.0 for a response that could not be judged. OpenRLHF logs its mean, and needs a number as
reward, which is then 0; the data filter reads this mark and counts no such response as wrong."""

SHORTEST = 8
"""Characters of the prompt's end that must be found again for the response to be told from it."""

_SPECIAL = re.compile(r"<\|[^<>|\s]{1,40}\|>")
_END = re.compile(r"(?:\s*(?:<\|[^<>|\s]{1,40}\|>|</s>|<eos>|<end_of_turn>))+\s*\Z")


def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **unused: Any) -> dict[str, Any]:
    """OpenRLHF's contract: texts of prompt + response, prompts and gold answers of one length, here always 1.

    Returns numbers for one response and lists for several: `rewards` in [0, 1], `scores` 1.0 for a right answer, and
    `extra_logs`. Raises ValueError where a query does not hold its prompt.
    """
    return rewards_by(default_grader(), queries, prompts, labels)


def rewards_by(grader: Grader, queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any]) -> dict[str, Any]:
    """What `reward_func` returns, with the numbers of any grader."""
    items = [
        GradeItem(response_of(query, prompt), label_text(label), _SPECIAL.sub("\n", prompt))
        for query, prompt, label in zip(queries, prompts, labels, strict=True)
    ]
    grades = grader.grade(items)
    columns = {
        "rewards": [grade.reward or 0.0 for grade in grades],
        "scores": [float(grade.verdict == "right") for grade in grades],
    }
    logs = {"rap_format": [float(grade.well_formatted) for grade in grades], UNGRADED: list(map(_ungraded, grades))}
    if len(grades) == 1:
        return {**{k: v[0] for k, v in columns.items()}, "extra_logs": {k: v[0] for k, v in logs.items()}}
    return {**columns, "extra_logs": logs}


def response_of(query: str, prompt: str) -> str:
    """The response in `query`, without its end tokens.

    A query is the decoded prompt, in which processors have spelled out every image as hundreds of tokens, and the
    response. So the prompt is found by pieces of its end, each as often as it is in the prompt; a response that repeats
    the prompt can only show a piece later.
    """
    pieces = {prompt[-(len(prompt) >> halvings) :] for halvings in range(len(prompt).bit_length())}
    pieces = {piece for piece in pieces if len(piece) >= min(SHORTEST, len(prompt))}
    stops = [at + len(piece) for piece in pieces if (at := _nth(query, piece, prompt.count(piece))) is not None]
    if prompt and not stops:
        raise ValueError("the query does not hold its prompt")
    return _END.sub("", query[min(stops, default=0) :]).strip()


def _nth(text: str, part: str, number: int) -> int | None:
    """Where `part` is found for the `number`-th time."""
    at = -len(part)
    for _ in range(number):
        at = text.find(part, at + len(part))
        if at < 0:
            return None
    return at


def _ungraded(grade: Grade) -> float:
    return float(grade.reward is None)


@lru_cache(maxsize=1)
def default_grader() -> Grader:
    """The grader `auto`, opened once a process."""
    return open_grader("auto", options=GradingOptions(format_weight=FORMAT_WEIGHT))
