"""verl's agent loop with crops inside the assistant turn, made and run through verl's own interfaces."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

pytest.importorskip("verl", reason="verl is not installed")

from rap_plugin.cli.path import PATHS
from tests.looker_model import looker_folder
from tests.verl_hooks.agents import open_agent
from tests.vlm_r3 import looker as script


@pytest.fixture
def answered(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """The output for question 2, sampled greedily by the real model behind verl's client interface."""
    import torch
    from omegaconf import OmegaConf
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from verl.workers.rollout.replica import TokenOutput

    folder = looker_folder(tmp_path_factory)
    processor = AutoProcessor.from_pretrained(folder)
    network = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    calls: list[dict] = []

    class Client:
        """What verl calls its servers through; one greedy sequence of the model stands for the server."""

        async def generate(self, request_id, *, prompt_ids, sampling_params, image_data=None, **kwargs) -> TokenOutput:
            calls.append({**sampling_params, "request": request_id, "images": len(image_data)})
            pixels = processor.image_processor(images=image_data, return_tensors="pt")
            image = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
            ids = torch.tensor([prompt_ids])
            with torch.inference_mode():
                out = network.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    mm_token_type_ids=(ids == image).int(),
                    **pixels,
                    max_new_tokens=sampling_params["max_tokens"],
                    do_sample=False,
                    stop_strings=sampling_params["stop"],
                    tokenizer=processor.tokenizer,
                )
            said = out[0, len(prompt_ids) :].tolist()
            return TokenOutput(token_ids=said, log_probs=[-0.5] * len(said))

    monkeypatch.setenv("RAP_R3_REWARD", "paper")
    monkeypatch.setenv("RAP_R3_MIN_CROP_PIXELS", "784")
    monkeypatch.setenv("RAP_R3_MAX_CROP_PIXELS", "3136")
    config = OmegaConf.create(
        {
            "actor_rollout_ref": {"rollout": {"prompt_length": 200, "response_length": 300}},
            "data": {"max_prompt_length": 200},
        }
    )
    (entry,) = OmegaConf.load(PATHS["verl-r3-agent"])
    content = [{"type": "image", "image": script.picture(2)}, {"type": "text", "text": script.question(2)}]

    async def run():
        loop = open_agent(entry, config, Client(), processor)
        row = {"raw_prompt": [{"role": "user", "content": content}], "reward_model": {"ground_truth": "C"}}
        return await loop.run({"temperature": 0.0}, **row)

    return SimpleNamespace(output=asyncio.run(run()), calls=calls, processor=processor, entry=entry)


def test_the_loop_is_known_to_verl_by_its_name(answered) -> None:
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry

    assert answered.entry["name"] in _agent_loop_registry


def test_crops_are_in_the_response_masked_and_in_the_images(answered) -> None:
    output, tokenizer = answered.output, answered.processor.tokenizer
    kept = [token for token, mask in zip(output.response_ids, output.response_mask, strict=True) if mask]
    assert tokenizer.decode(kept, skip_special_tokens=True) == "".join(script.said(2))
    put_in = [token for token, mask in zip(output.response_ids, output.response_mask, strict=True) if not mask]
    image = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    images = output.multi_modal_data["images"]
    assert len(images) == 3
    patches = answered.processor.image_processor(images=images, return_tensors="pt")["image_grid_thw"].prod(dim=1) // 4
    assert put_in.count(image) == patches[1:].sum()
    assert (output.prompt_ids + output.response_ids).count(image) == patches.sum()
    assert len(output.response_logprobs) == len(output.response_ids)
    assert json.loads(output.extra_fields["rap_r3_trace"])["ended"] == "answer"
    assert output.as_dict()["response_mask"].sum() == len(kept)


def test_the_reward_is_that_of_the_preset(answered) -> None:
    # Right, closed, two different regions; the shortest reasoning segment is the answer's, which has no character of its own.
    assert answered.output.reward_score == 1 + 1 + 0.5
    assert answered.output.as_dict()["rm_scores"].sum() == 2.5


def test_every_segment_goes_to_the_same_server_with_the_images_so_far(answered) -> None:
    assert [call["images"] for call in answered.calls] == [1, 2, 3]
    assert len({call["request"] for call in answered.calls}) == 1
    assert all("</answer>" in call["stop"] and call["include_stop_str_in_output"] for call in answered.calls)
