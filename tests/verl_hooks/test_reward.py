"""The reward through verl's own reward managers, in the main process and from threads."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rap_plugin.errors import RapError
from rap_plugin.verl_hooks import compute_score
from rap_plugin.verl_hooks.reward import open_grader_for
from tests.fabricate import finished

WELL = "<think>seven and five</think> \\boxed{12}"


def test_a_right_answer_gets_nine_tenths_and_its_form_the_rest() -> None:
    assert compute_score("digits", WELL, "12", {}) == {"score": 1.0, "acc": 1.0, "format": 1.0, "graded": 1.0}
    assert compute_score("digits", "\\boxed{12}", "12") == {"score": 0.9, "acc": 1.0, "format": 0.0, "graded": 1.0}
    assert compute_score("digits", WELL, "13") == {"score": 0.1, "acc": 0.0, "format": 1.0, "graded": 1.0}
    assert compute_score("digits", "no idea", "13")["score"] == 0.0
    assert compute_score("digits", WELL, "13", format_weight=0.25)["score"] == 0.25


def test_options_are_read_in_the_question() -> None:
    question = {"question": "<image>Which is it?\nA. 3 cm\nB. 12 cm"}
    assert compute_score("digits", "\\boxed{12 cm}", "B", question)["acc"] == 1.0
    assert compute_score("digits", "\\boxed{3 cm}", "B", question)["acc"] == 0.0


def test_what_cannot_be_graded_is_no_silent_zero(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = compute_score("digits", "\\boxed{1}", "\\frac{", {})
    assert (found["score"], found["graded"]) == (0.0, 0.0)
    assert "a response to 'digits' is ungradable" in caplog.text


def test_a_run_grades_its_training_as_it_graded_its_pool(tmp_path: Path) -> None:
    run = str(finished(tmp_path, samples=40, grading__grader="math", grading__rtol=0.01, grading__format_weight=0.2))
    assert open_grader_for(run).id == open_grader_for(run, "math").id
    assert compute_score("d", "\\boxed{100.5}", "100", run_dir=run)["score"] == 0.8
    assert compute_score("d", "\\boxed{100.5}", "100")["score"] == 0.0
    plain = str(finished(tmp_path / "plain", samples=40))
    assert compute_score("d", WELL, "13", run_dir=plain)["score"] == 0.1


def test_a_run_whose_rewards_came_with_its_responses_says_what_to_do(tmp_path: Path) -> None:
    run = str(finished(tmp_path, samples=40, grading__grader="engine"))
    with pytest.raises(RapError, match=r"reads rewards that came with the responses.*reward_kwargs\.grader=auto"):
        compute_score("d", WELL, "12", run_dir=run)
    assert compute_score("d", WELL, "12", run_dir=run, grader="auto")["score"] == 1.0
    with pytest.raises(RapError, match="no run directory of rap"):
        compute_score("d", WELL, "12", run_dir=str(tmp_path / "nothing"))


def test_the_reward_alone_does_not_need_verl() -> None:
    import subprocess

    code = (
        "import sys; sys.modules['verl'] = None\n"
        "import rap_plugin.verl_hooks as hooks\n"
        "assert 'torch' not in sys.modules\n"
        "assert hooks.compute_score('d', '\\\\boxed{1}', '1')['score'] == 0.9\n"
        "try:\n    hooks.RapDataset\nexcept Exception as error:\n    print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("RapError RapDataset needs verl")
    assert "pip install 'rap-plugin[verl]'" in done.stdout


class Tokens:
    """A tokenizer of characters: what verl's reward managers ask of one."""

    def decode(self, ids: Any, skip_special_tokens: bool = True) -> str:
        return "".join(chr(int(i)) for i in ids if int(i))


def batch_of(responses: list[str], golds: list[str]) -> Any:
    """Prompts of two tokens and padded responses, as verl's rollouts are."""
    import torch
    from verl import DataProto

    width = max(map(len, responses))
    ids = torch.zeros(len(responses), width, dtype=torch.long)
    for i, text in enumerate(responses):
        ids[i, : len(text)] = torch.tensor([ord(character) for character in text])
    columns = {
        "data_source": ["digits"] * len(golds),
        "reward_model": [{"style": "rule", "ground_truth": gold} for gold in golds],
        "extra_info": [{"question": "<image>How many?"} for _ in golds],
    }
    arrays = {name: np.fromiter(values, dtype=object, count=len(values)) for name, values in columns.items()}
    prompts = torch.ones(len(responses), 2, dtype=torch.long)
    mask = torch.cat([prompts, (ids != 0).long()], dim=1)
    return DataProto.from_single_dict({"prompts": prompts, "responses": ids, "attention_mask": mask, **arrays})


@pytest.mark.parametrize("way", ["package", "file"])
def test_verls_reward_manager_scores_with_it(verl_config: Callable[..., Any], way: str) -> None:
    from verl.trainer.ppo.reward import load_reward_manager

    from rap_plugin.verl_hooks import reward

    path = "pkg://rap_plugin.verl_hooks" if way == "package" else reward.__file__
    config = verl_config(
        f"reward.custom_reward_function.path={path}",
        "+reward.custom_reward_function.reward_kwargs.format_weight=0.2",
        rap=False,
    )
    manager = load_reward_manager(config, Tokens())
    batch = batch_of([WELL, "\\boxed{12}", "nothing"], ["12", "12", "12"])

    async def score() -> list[dict[str, Any]]:
        manager.loop = asyncio.get_running_loop()
        return list(await asyncio.gather(*(manager.run_single(batch[i : i + 1]) for i in range(3))))

    results = asyncio.run(score())
    assert [result["reward_score"] for result in results] == [1.0, 0.8, 0.0]
    assert results[1]["reward_extra_info"] == {"score": 0.8, "acc": 1.0, "format": 0.0, "graded": 1.0}


def test_the_legacy_reward_manager_scores_with_it() -> None:
    pytest.importorskip("verl", reason="verl is not installed")
    from verl.workers.reward_manager.naive import NaiveRewardManager

    manager = NaiveRewardManager(Tokens(), num_examine=0, compute_score=compute_score)
    found = manager(batch_of([WELL, "\\boxed{11}"], ["12", "12"]), return_dict=True)
    assert found["reward_tensor"].sum(-1).tolist() == [1.0, 0.0]
    assert found["reward_extra_info"]["acc"] == [1.0, 0.0]
