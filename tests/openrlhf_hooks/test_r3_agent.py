"""OpenRLHF's agent with crops inside the assistant turn, on a real vLLM engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.looker_model import looker_folder
from tests.vlm_r3 import looker as script

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")
pytest.importorskip("vllm", reason="vLLM is not installed")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory):
    from transformers import AutoProcessor

    model = looker_folder(tmp_path_factory)
    out = tmp_path_factory.mktemp("agent") / "out.json"
    crops = {"RAP_R3_MIN_CROP_PIXELS": "784", "RAP_R3_MAX_CROP_PIXELS": "3136"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.openrlhf_hooks.r3_scenario", str(model), str(out)],
        cwd=Path(__file__).parents[2],
        env={
            **os.environ,
            **crops,
            "OMP_NUM_THREADS": "1",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_CI_ENV": "1",
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        },
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(out.read_text()), AutoProcessor.from_pretrained(model)


def test_crops_stand_inside_the_assistant_turn_and_only_sampled_tokens_are_actions(answered) -> None:
    (two, again, none), processor = answered
    decode = processor.tokenizer.decode
    for answer, number in ((two, 2), (again, 15), (none, 0)):
        said = [decode(answer["tokens"][start:stop], skip_special_tokens=True) for start, stop in answer["ranges"]]
        assert said == script.said(number)
    between = decode(two["tokens"][two["ranges"][0][1] : two["ranges"][1][0]])
    assert between.startswith("<|vision_start|><|image_pad|>")
    assert between.endswith("<|vision_end|>")
    assert (
        decode(again["tokens"][again["ranges"][1][1] : again["ranges"][2][0]])
        == "\n[no crop: this region was shown already]\n"
    )


def test_every_image_token_meets_its_features(answered) -> None:
    (two, again, none), processor = answered
    image = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    for answer, images in ((two, 3), (again, 2), (none, 1)):
        assert len(answer["grids"]) == images
        patches = sum(t * h * w for t, h, w in answer["grids"])
        assert answer["patches"] == patches
        assert answer["tokens"].count(image) == patches // 4


def test_rewards_and_log_probabilities_belong_to_the_turn(answered) -> None:
    (two, again, none), _ = answered
    assert [answer["scores"] for answer in (two, again, none)] == [1.0, 0.0, 1.0]
    assert [answer["reward"] for answer in (two, again, none)] == [2.0, 0.5, 1.5]
    assert (two["logs"]["rap_r3_crops"], again["logs"]["rap_r3_bad_boxes"]) == (2.0, 1.0)
    for answer in (two, again, none):
        assert not answer["truncated"]
        assert len(answer["logprobs"]) == len(answer["tokens"])
        sampled = {at for start, stop in answer["ranges"] for at in range(start, stop)}
        assert all(value == 0.0 for at, value in enumerate(answer["logprobs"]) if at not in sampled)
        assert any(answer["logprobs"][at] < 0 for at in sampled)
