"""The chat template gets a prompt's own arguments."""

from __future__ import annotations

import pytest

from rap_plugin.demo import MODEL_DIR
from rap_plugin.engines.hf.chat import prepare
from rap_plugin.rollout import Prompt


def test_options_of_the_prompt_reach_the_chat_template() -> None:
    transformers = pytest.importorskip("transformers", reason="the template is rendered by it")
    processor = transformers.AutoProcessor.from_pretrained(MODEL_DIR)
    processor.chat_template = "{% if enable_thinking is defined and not enable_thinking %}1{% else %}2{% endif %}"

    def tokens(**options: object) -> str:
        inputs = prepare(Prompt("0", "blind", "x", template_options=options), processor, object())
        return str(processor.tokenizer.decode(inputs.ids))

    assert tokens(enable_thinking=False) == "1"
    assert tokens() == "2"
