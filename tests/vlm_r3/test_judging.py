"""The judge of the benchmarks in the rewards of R-GRPO, on a real local HTTP server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rap_plugin.evaluation import judge as judging
from rap_plugin.grading import GradingOptions, open_grader
from rap_plugin.vlm_r3.judging import region_judge
from rap_plugin.vlm_r3.reward import judged_right
from tests.evaluation.judge_server import Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(judging.time, "sleep", lambda seconds: None)
    held = Server()
    yield held
    held.close()


def right(answers: list[str], golds: list[str], judge) -> list[bool | None]:
    grader = open_grader("text", options=GradingOptions())
    return judged_right(grader, answers, golds, ["What colour is the car?"] * len(answers), judge)


def test_without_a_name_there_is_no_judge_and_the_rules_stay() -> None:
    assert region_judge({}) is None
    assert right(["red", "dark red"], ["red", "red"], None) == [True, False]


def test_a_judge_is_asked_only_where_the_rules_say_wrong_and_hears_every_gold(server: Server) -> None:
    judge = region_judge({"RAP_JUDGE": f"small-judge@{server.url}"})
    server.reply = lambda prompt: "right" if "dark red" in prompt else "wrong"
    assert right(["red", "dark red", "blue", ""], ["red", "red/crimson", "red", "red"], judge) == [
        True,
        True,
        False,
        False,
    ]
    assert len(server.asked) == 2
    assert "red or crimson" in server.asked[0]


def test_a_judge_that_stops_answering_leaves_what_the_rules_have_said(server: Server) -> None:
    judge = region_judge({"RAP_JUDGE": f"small-judge@{server.url}"})
    server.close()
    assert right(["dark red"] * 5, ["red"] * 5, judge) == [False] * 5
