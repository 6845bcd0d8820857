"""Reward files of OpenRLHF and EasyR1 run as they are."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from rap_plugin.errors import RapError
from rap_plugin.grading import Grade, GradeItem, GradingOptions, open_grader

ITEMS = [
    GradeItem(r"<think>a</think>\boxed{5}", "5", "How many?", "USER: How many? ASSISTANT:"),
    GradeItem(r"\boxed{6}", "5", "How many?", "USER: How many? ASSISTANT:"),
    GradeItem("boom", "5", "How many?", "USER: How many? ASSISTANT:"),
    GradeItem(r"\boxed{5}", "5", "How many?", "USER: How many? ASSISTANT:"),
]


def _grade(tmp_path: Path, code: str, function: str = "", **options: object) -> list[Grade]:
    file = tmp_path / "reward.py"
    file.write_text(dedent(code))
    name = f"{file}:{function}" if function else str(file)
    grader = open_grader(name, options=GradingOptions(timeout_s=60.0, workers=1, **options))  # type: ignore[arg-type]
    try:
        return grader.grade(ITEMS)
    finally:
        grader.close()


def _rewards(grades: list[Grade]) -> list[float | None]:
    assert grades[2].verdict == "ungradable"
    assert "ValueError: boom (reward.py:" in grades[2].reason
    return [grade.reward for grade in grades]


OPENRLHF = """
    def score(query, prompt, label):
        assert query.startswith(prompt)
        response = query[len(prompt):]
        if response == "boom":
            raise ValueError("boom")
        return 1.0 if "boxed{" + label + "}" in response else 0.0

    def reward_func(queries, prompts, labels, **kwargs):
        print("debugging", queries)
        rewards = [score(*row) for row in zip(queries, prompts, labels, strict=True)]
        return RESULT
"""


@pytest.mark.parametrize(
    "result",
    [
        "rewards",
        "{'rewards': rewards, 'scores': rewards, 'extra_logs': {'accuracy': rewards}}",
        "{'scores': rewards}",
    ],
)
def test_an_openrlhf_file_returns_a_list_or_a_dict(tmp_path: Path, result: str) -> None:
    grades = _grade(tmp_path, OPENRLHF.replace("RESULT", result))
    assert _rewards(grades) == [1.0, 0.0, None, 1.0]
    assert [g.verdict for g in grades] == ["right", "wrong", "ungradable", "right"]
    assert [g.well_formatted for g in grades] == [True, False, False, False]
    assert grades[0].extracted == "5"


def test_an_openrlhf_file_returns_tensors(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    code = "    import torch\n" + OPENRLHF.replace(
        "RESULT",
        "{'rewards': torch.tensor(rewards), 'scores': torch.tensor(rewards),"
        " 'extra_logs': {'a': torch.tensor(rewards)}}"
        " if labels != ['5'] or 'think' in queries[0] else torch.tensor([rewards])",
    )
    assert _rewards(_grade(tmp_path, code, "reward_func")) == [1.0, 0.0, None, 1.0]


def test_an_openrlhf_file_gets_the_question_where_there_is_no_prompt(tmp_path: Path) -> None:
    file = tmp_path / "reward.py"
    file.write_text(
        "def reward_func(queries, prompts, labels):\n    return [float(queries == ['Q?A'] and prompts == ['Q?'])]\n"
    )
    grader = open_grader(str(file), options=GradingOptions(workers=1))
    assert [g.reward for g in grader.grade([GradeItem("A", "g", question="Q?")])] == [1.0]
    grader.close()


EASYR1_PARTS = """
    def check(response, gold):
        if response == "boom":
            raise ValueError("boom")
        accuracy = float("boxed{" + gold + "}" in response)
        form = float(response.startswith("<think>"))
        return {"overall": 0.9 * accuracy + 0.1 * form, "format": form, "accuracy": accuracy}
"""
EASYR1 = {
    "older, a float": "def compute_score(predict_str, ground_truth):\n"
    "        return check(predict_str, ground_truth)['overall']",
    "older, a dict": "def compute_score(predict: str, ground_truth: str, format_weight=0.1):\n"
    "        return check(predict, ground_truth)",
    "batches of two lists": "def compute_score(predicts, ground_truths, format_weight: float = 0.1):\n"
    "        return [check(*pair) for pair in zip(predicts, ground_truths, strict=True)]",
    "newer": "def compute_score(reward_inputs: list[dict], format_weight: float = 0.1) -> list[dict]:\n"
    "        assert isinstance(reward_inputs, list) and reward_inputs[0]['response_length'] > 0\n"
    "        return [check(r['response'], r['ground_truth']) for r in reward_inputs]",
    "newer, typed batch": "REWARD_NAME = 'math'\n    REWARD_TYPE = 'batch'\n    def compute_score(inputs):\n"
    "        return [check(r['response'], r['ground_truth']) for r in inputs]",
    "sequential": "REWARD_NAME = 'r1v'\n    REWARD_TYPE = 'sequential'\n"
    "    def compute_score(reward_input, format_weight=0.5):\n"
    "        return check(reward_input['response'], reward_input['ground_truth'])",
}


@pytest.mark.parametrize("signature", EASYR1)
def test_an_easyr1_file_of_every_signature(tmp_path: Path, signature: str) -> None:
    grades = _grade(tmp_path, EASYR1_PARTS + "\n    " + EASYR1[signature], "compute_score")
    assert _rewards(grades) == [1.0, 0.0, None, 0.9]
    assert [g.verdict for g in grades] == ["right", "wrong", "ungradable", "right"]


def test_the_format_that_an_easyr1_file_reports_is_taken(tmp_path: Path) -> None:
    code = "def compute_score(reward_inputs): return [{'overall': 1.0, 'format': 1.0} for _ in reward_inputs]"
    assert [g.well_formatted for g in _grade(tmp_path, code, "compute_score")] == [True] * 4


@pytest.mark.parametrize(
    ("code", "rewards"),
    [
        ("def own(response, gold): return gold in response", [1.0, 0.0, 0.0, 1.0]),
        ("def own(response, gold, question): return int(question == 'How many?')", [1.0] * 4),
        ("import numpy\ndef own(response, gold): return numpy.float32(0.25)", [0.25] * 4),
        ("def own(response, gold): return [0.75]", [0.75] * 4),
    ],
)
def test_a_plain_function_gets_response_gold_and_question(tmp_path: Path, code: str, rewards: list[float]) -> None:
    grades = _grade(tmp_path, code, "own")
    assert [g.reward for g in grades] == rewards
    assert [g.verdict for g in grades] == ["right" if reward >= 0.5 else "wrong" for reward in rewards]


def test_the_threshold_moves_verdicts_but_not_rewards(tmp_path: Path) -> None:
    grades = _grade(tmp_path, "def own(response, gold): return 0.9", "own", right_at=1.0)
    assert [(g.verdict, g.reward) for g in grades] == [("wrong", 0.9)] * 4


def test_a_kind_can_be_forced(tmp_path: Path) -> None:
    code = "def own(q, p, l): return [float(q[0].startswith(p[0])) for _ in l]"
    assert [g.reward for g in _grade(tmp_path, code, "own", kind="openrlhf")] == [1.0] * 4


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ("None", "NoneType"),
        ("'1.0'", "str"),
        ("[1.0, 0.0]", "2 rewards for one response"),
        ("{'loss': 1}", "without overall, rewards or score"),
        ("float('inf')", "inf"),
        ("[]", "0 rewards"),
    ],
)
def test_a_result_that_is_no_reward_makes_the_item_ungradable(tmp_path: Path, result: str, reason: str) -> None:
    grades = _grade(tmp_path, f"def own(response, gold): return {result}", "own")
    assert {g.verdict for g in grades} == {"ungradable"}
    assert reason in grades[0].reason


def test_a_file_may_import_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "beside_reward.py").write_text("VALUE = 1.0\n")
    grades = _grade(tmp_path, "from beside_reward import VALUE\ndef own(response, gold): return VALUE", "own")
    assert [g.reward for g in grades] == [1.0] * 4


def test_a_missing_file_and_a_missing_function_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RapError, match=r"absent\.py: No such file.*give file\.py:function"):
        open_grader(str(tmp_path / "absent.py:f"), options=GradingOptions())
    with pytest.raises(RapError, match=r"reward\.py has no function other"):
        _grade(tmp_path, "def own(response, gold): return 1", "other")
    with pytest.raises(RapError, match="no function reward_func or compute_score or grade"):
        _grade(tmp_path, "def own(response, gold): return 1")


def test_the_id_follows_the_content_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "reward.py"
    file.write_text("def own(response, gold): return 1")
    before = open_grader(f"{file}:own", options=GradingOptions()).id
    assert before.startswith("reward.py:own-1:")
    assert open_grader(f"{file}:own", options=GradingOptions()).id == before
    file.write_text("def own(response, gold): return 0")
    assert open_grader(f"{file}:own", options=GradingOptions()).id != before
