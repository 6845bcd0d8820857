"""Rows asked without their image through verl's own agent loop interfaces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("verl", reason="verl is not installed")

from rap_plugin.cli.path import PATHS
from tests.verl_hooks.agents import open_agent

Run = Callable[..., tuple[Any, list[dict[str, Any]], Any]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`run(**row)`: (output of the loop that verl makes from our file, what its server was asked, processor).

    The server answers 7 to whoever sees the image, and 5 to who does not.
    """
    from omegaconf import OmegaConf
    from PIL import Image
    from verl.utils import hf_processor
    from verl.workers.rollout.replica import TokenOutput

    from tests.engines.tiny_models import build

    processor = hf_processor(str(build("qwen2_5_vl", tmp_path_factory.mktemp("model"))))
    config = OmegaConf.create(
        {
            "actor_rollout_ref": {"rollout": {"prompt_length": 200, "response_length": 300, "n": 2}},
            "data": {"max_prompt_length": 200},
            "reward": {
                "custom_reward_function": {"path": "pkg://rap_plugin.verl_hooks", "name": "compute_score"},
                "reward_manager": {"name": "naive"},
            },
        }
    )
    (entry,) = OmegaConf.load(PATHS["verl-follow-agent"])
    image = {"type": "image", "image": Image.new("RGB", (84, 56), (200, 90, 20))}
    asked = [{"role": "user", "content": [image, {"type": "text", "text": "What is the number?"}]}]

    def once(**row: Any) -> tuple[Any, list[dict[str, Any]], Any]:
        seen: list[dict[str, Any]] = []

        class Client:
            async def generate(self, request_id: str, **kwargs: Any) -> TokenOutput:
                seen.append(kwargs)
                said = "7" if kwargs.get("image_data") else "5"
                return TokenOutput(token_ids=processor.tokenizer(said)["input_ids"], log_probs=None)

        async def loop() -> Any:
            made = open_agent(entry, config, Client(), processor)
            given = {"data_source": "digits", "reward_model": {"ground_truth": "5"}, "extra_info": {}, "session_id": 0}
            return await made.run({"temperature": 0.0}, raw_prompt=asked, **{**given, **row})

        return asyncio.run(loop()), seen, processor

    return once


def test_a_row_is_answered_without_its_image_beside_its_own_responses_and_graded_as_they_are(run: Run) -> None:
    output, seen, processor = run(rap_blind=3)
    image = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    with_image, *blind = sorted(seen, key=lambda asked: -asked["prompt_ids"].count(image))
    assert with_image["prompt_ids"].count(image) > 0
    assert [asked["prompt_ids"].count(image) for asked in blind] == [0, 0]
    assert all("What is the number?" in processor.tokenizer.decode(asked["prompt_ids"]) for asked in blind)
    assert processor.tokenizer.decode(output.response_ids) == "7", "what is trained on saw the image"
    assert [said["acc"] for said in output.as_dict()["extra_fields"]["rap_blind"]] == [1.0, 1.0]
    # Of three rollouts two come with the first of two responses, one with the second.
    assert len(run(rap_blind=3, session_id=1)[0].extra_fields["rap_blind"]) == 1


def test_other_rows_are_asked_as_ever(run: Run) -> None:
    for row in ({"rap_blind": 0}, {}):
        output, seen, _ = run(**row)
        assert len(seen) == 1
        assert output.extra_fields["rap_blind"] == []


def test_a_row_that_cannot_be_graded_says_nothing_and_stops_nothing(run: Run) -> None:
    output, seen, _ = run(rap_blind=1, reward_model=None)
    assert len(seen) == 2
    assert output.extra_fields["rap_blind"] == []
