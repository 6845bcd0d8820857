"""The other prompt of a row through verl's own agent loop interfaces."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("verl", reason="verl is not installed")

from rap_plugin.cli.path import PATHS
from rap_plugin.errors import RapError
from rap_plugin.modality_gap.contrastive import ContrastiveLoss
from rap_plugin.verl_hooks.options import contrastive_of, read_options
from tests.verl_hooks.agents import open_agent

SAID = [70, 71, 72]
OTHER = [{"role": "user", "content": "<image>Look well. Find x."}]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """`run(**row)`: (output of the loop that verl makes from our file, processor); the server always says the same."""
    from omegaconf import OmegaConf
    from PIL import Image
    from verl.utils import hf_processor
    from verl.workers.rollout.replica import TokenOutput

    from tests.engines.tiny_models import build

    processor = hf_processor(str(build("qwen2_5_vl", tmp_path_factory.mktemp("model"))))

    class Client:
        async def generate(self, request_id, **kwargs) -> TokenOutput:
            return TokenOutput(token_ids=SAID, log_probs=[-0.5] * len(SAID))

    rollout = {"prompt_length": 200, "response_length": 300}
    data = {"max_prompt_length": 200, "rap": {"contrastive": "nll", "contrastive_coefficient": 0.1}}
    config = OmegaConf.create({"actor_rollout_ref": {"rollout": rollout}, "data": data})
    (entry,) = OmegaConf.load(PATHS["verl-contrastive-agent"])
    image = {"type": "image", "image": Image.new("RGB", (84, 56), (200, 90, 20))}
    asked = [{"role": "user", "content": [image, {"type": "text", "text": "AB = 3, answer the question: Find x."}]}]

    def once(**row):
        async def loop():
            made = open_agent(entry, config, Client(), processor)
            return await made.run({"temperature": 0.0}, raw_prompt=asked, **row)

        return asyncio.run(loop()), processor

    return once


def test_a_response_knows_the_other_prompt_of_its_row_and_the_positions_behind_it(run):
    output, processor = run(contrastive_prompt=OTHER)
    note = output.as_dict()["extra_fields"]["rap_contrastive"]
    assert note["loss"] == {"form": "nll", "coefficient": 0.1, "sampled_by": "teacher"}
    image = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    assert note["ids"].count(image) == output.prompt_ids.count(image) > 0
    text = processor.tokenizer.decode(note["ids"])
    assert "Look well. Find x." in text
    assert "AB = 3" not in text
    assert output.response_ids[: len(SAID)] == SAID
    assert note["position_ids"].shape == (4, len(note["ids"]) + len(output.response_ids))
    assert note["position_ids"][0].tolist() == list(range(len(note["ids"]) + len(output.response_ids)))
    assert note["position_ids"][1:, -1].unique().numel() == 1, "text stands at one position on all axes"
    assert int(note["position_ids"][1, -1]) < int(note["position_ids"][0, -1]), "an image takes few of them"


def test_a_row_without_another_prompt_says_so(run):
    note = run(contrastive_prompt=None)[0].extra_fields["rap_contrastive"]
    assert note["ids"] is None
    assert note["loss"]["form"] == "nll"


def test_the_loss_and_the_column_are_those_of_the_data_section():
    assert contrastive_of({"contrastive": "k3"}) == (ContrastiveLoss(), "contrastive_prompt")
    assert contrastive_of({"contrastive": "nll", "contrastive_key": "prompt"})[1] == "prompt"
    with pytest.raises(RapError, match=r"needs \+data\.rap\.contrastive=FORM"):
        contrastive_of({})
    assert read_options({"rap": {"run_dir": "run", "contrastive": "k3"}}).run_dir == "run", "RapDataset leaves it alone"


def test_the_other_prompt_gets_the_images_of_the_sampled_one():
    from rap_plugin.verl_hooks.contrastive_agent import with_images

    picture = {"type": "image", "image": object()}
    sampled = [{"role": "user", "content": [picture, {"type": "text", "text": "AB = 3, answer the question: Find x."}]}]
    assert with_images([{"role": "system", "content": "Think."}, *OTHER], sampled) == [
        {"role": "system", "content": "Think."},
        {"role": "user", "content": [picture, {"type": "text", "text": "Look well. Find x."}]},
    ]
