"""One reward for all trainers: 0.9 accuracy + 0.1 format, exact or within 1 %, the same number in every host's form."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from rap_plugin.cli.path import PATHS
from rap_plugin.errors import RapError
from rap_plugin.modality_gap.reward import grade_responses
from rap_plugin.trl_hooks import modality_gap_reward
from rap_plugin.verl_hooks.modality_gap_reward import compute_score, easyr1_score

THOUGHT = "<think>The leg is half of it.</think>"
PROMPT = "CB \\perp CA on C, AC = 24, answer the question: Find y."

CASES = [
    # response, gold, exact, one_percent
    (f"{THOUGHT}\\boxed{{48}}", "48.000", 1.0, 1.0),
    ("So it is \\boxed{48}", "48.000", 0.9, 0.9),
    (f"{THOUGHT} \\boxed{{47}}", "48.000", 0.1, 0.1),
    ("no idea", "48.000", 0.0, 0.0),
    (f"{THOUGHT}\\boxed{{24\\sqrt{{3}}}}", "41.569", 0.1, 1.0),  # right, but the gold is rounded
    (f"{THOUGHT}\\boxed{{2 \\cdot (3 + 4)}}", "14.000", 1.0, 1.0),
    (f"{THOUGHT}\\boxed{{14.85}}", "14.900", 0.1, 1.0),  # 0.34 % off
    (f"{THOUGHT}\\boxed{{14.7}}", "14.900", 0.1, 0.1),  # 1.3 % off
    (f"{THOUGHT}\\boxed{{__import__('os').system('true')}}", "14.900", 0.1, 0.1),
    (f"{THOUGHT} then \\boxed{{48}} <think>again</think>", "48.000", 1.0, 1.0),
]


def load(name: str) -> Any:
    """A reward file as OpenRLHF loads it: by its path."""
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), PATHS[name])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("tolerance", ["exact", "one_percent"])
def test_every_host_gets_the_same_number(tolerance: str) -> None:
    openrlhf = load("openrlhf-modality-gap-reward" + ("-exact" if tolerance == "exact" else ""))
    responses, golds = [case[0] for case in CASES], [case[1] for case in CASES]
    expected = [case[2 if tolerance == "exact" else 3] for case in CASES]
    assert [grade.reward for grade in grade_responses(responses, golds, tolerance=tolerance)] == expected
    chats = [[{"role": "assistant", "content": one}] for one in responses]
    asked = [[{"role": "user", "content": PROMPT}]] * len(CASES)
    assert modality_gap_reward(tolerance)(asked, chats, answer=golds) == expected
    queries = [PROMPT + one for one in responses]
    assert openrlhf.reward_func(queries, [PROMPT] * len(CASES), golds)["rewards"] == expected
    scored = [
        compute_score("pgps9k", one, gold, {"question": PROMPT}, tolerance)
        for one, gold in zip(responses, golds, strict=True)
    ]
    assert [one["score"] for one in scored] == expected
    batch = [
        {"response": one, "response_length": len(one), "ground_truth": gold}
        for one, gold in zip(responses, golds, strict=True)
    ]
    assert [one["overall"] for one in easyr1_score(batch, tolerance)] == expected


def test_a_gold_that_cannot_be_graded_is_no_silent_zero(caplog: pytest.LogCaptureFixture) -> None:
    assert modality_gap_reward()([PROMPT], [CASES[0][0]], answer=[""]) == [None]
    assert compute_score("pgps9k", CASES[0][0], "")["graded"] == 0.0
    assert "cannot be graded" in caplog.text


@pytest.mark.parametrize(
    ("gold", "response", "score"),
    [(None, "None", 0.0), (float("nan"), "nan", 0.0), (["48.000"], "48", 0.9), (r"thus \boxed{48}", "48", 0.9), (48.0, "48", 0.9)],
)  # fmt: skip
def test_verl_and_easyr1_read_a_gold_as_a_pool_does(gold: Any, response: str, score: float) -> None:
    said = f"\\boxed{{{response}}}"
    assert compute_score("pgps9k", said, gold)["score"] == score
    assert easyr1_score([{"response": said, "ground_truth": gold}])[0]["overall"] == score


def test_another_tolerance_is_one_line() -> None:
    with pytest.raises(RapError, match="exact, one_percent"):
        grade_responses(["1"], ["1"], tolerance="loose")
