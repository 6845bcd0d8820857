"""Rows grouped by what the model itself makes of their prompts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from rap_plugin.demo import MODEL_DIR
from rap_plugin.posterior.following import wording_of
from rap_plugin.trl_hooks import prompt_groups
from rap_plugin.trl_hooks.prompting import read_prompts
from tests.trl_hooks.follow_script import make_dataset


@pytest.fixture(scope="module")
def dataset() -> Any:
    return make_dataset(40)


def test_a_state_is_that_of_the_last_token_whatever_the_batch(dataset: Any) -> None:
    import torch

    from rap_plugin.config import ModelConfig
    from rap_plugin.engines import open_hf
    from rap_plugin.rollout import Prompt, Sampling

    engine = open_hf(ModelConfig(id=str(MODEL_DIR)))
    prompts = read_prompts(dataset)
    prompts.rows = {str(row): row for row in range(len(dataset))}
    engine.prepare_prompt = prompts.prepare
    asked = [Prompt(str(row), "image", "") for row in range(6)]
    found = engine.prompt_states(asked, Sampling())
    network = engine._model().network
    for prompt, state in zip(asked, found, strict=True):
        inputs = prompts.prepare(prompt, engine.processor, network)
        with torch.no_grad():
            output = network(input_ids=inputs.ids[None], **inputs.visual, output_hidden_states=True)
        np.testing.assert_allclose(state, output.hidden_states[-1][0, -1].numpy(), atol=2e-4)
    assert engine.prompt_states(asked[:1], Sampling(max_prompt_tokens=1)) == [None], "too long to be read"


def test_questions_of_one_kind_come_together_and_the_seed_decides(dataset: Any) -> None:
    found = prompt_groups(dataset, MODEL_DIR, groups=8)
    assert found == prompt_groups(dataset, MODEL_DIR, groups=8)
    assert len(found) == 40
    kinds = [wording_of(prompt[0]["content"]) for prompt in dataset["prompt"]]
    together: dict[int, list[str]] = {}
    for group, kind in zip(found, kinds, strict=True):
        together.setdefault(group, []).append(kind)
    same = sum(Counter(members).most_common(1)[0][1] for members in together.values()) / 40
    one = Counter(kinds).most_common(1)[0][1] / 40
    assert len(together) > 4
    assert same > max(0.6, 2 * one)
