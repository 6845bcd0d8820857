"""The image arm's prompt is the trainer's own; the blind arm's is the same without its images."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")

from PIL import Image

from rap_plugin.openrlhf_hooks.prompting import OpenRLHFPrompts, without_image_tokens, without_images
from rap_plugin.rollout import Prompt

PICTURE = Image.new("RGB", (8, 8))
ROWS = {
    "text": {"prompt": "<image>Find x.", "label": "3", "images": [PICTURE]},
    "messages": {
        "prompt": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Look: <image>\nFind x."}],
        "label": 3,
        "images": [PICTURE],
    },
    "parts": {
        "prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Find x."}]}],
        "label": {"answer": "3"},
        "images": PICTURE,
    },
}


def args_of(**data):
    names = {"input_key": "prompt", "label_key": "label", "image_key": "images", "input_template": None}
    return SimpleNamespace(data=SimpleNamespace(**{**names, "apply_chat_template": True, **data}))


def trainers(row, args, processor):
    """What OpenRLHF's own dataset makes of the row: (prompt, label, images)."""
    from openrlhf.datasets import PromptDataset

    strategy = SimpleNamespace(args=args, is_rank_0=lambda: False)
    return PromptDataset([row], processor, strategy, input_template=args.data.input_template)[0][1:]


@pytest.mark.parametrize("kind", ROWS)
def test_the_image_arm_is_what_the_trainer_sends(processor, kind):
    args = args_of()
    built = OpenRLHFPrompts.of(args, processor).build(ROWS[kind], Prompt("id", "image", ""))
    assert built == trainers(ROWS[kind], args, processor)
    assert built[0].count("<|image_pad|>") == 1


def test_the_image_arm_without_a_chat_template_is_what_the_trainer_sends(processor):
    row = {"prompt": "<|vision_start|><|image_pad|><|vision_end|>\nFind x.", "label": "3", "images": [PICTURE]}
    args = args_of(apply_chat_template=False, input_template="Q: {}\nA:")
    prompts = OpenRLHFPrompts.of(args, processor)
    assert prompts.build(row, Prompt("id", "image", "")) == trainers(row, args, processor)
    assert prompts.build(row, Prompt("id", "blind", "")) == ("Q: Find x.\nA:", "3", None)


@pytest.mark.parametrize("kind", ROWS)
def test_the_blind_arm_is_the_same_prompt_without_image_and_its_tokens(processor, kind):
    row = ROWS[kind]
    prompts = OpenRLHFPrompts.of(args_of(), processor)
    seen, label, _ = prompts.build(row, Prompt("id", "image", ""))
    text, blind_label, images = prompts.build(row, Prompt("id", "blind", ""))
    assert images is None
    assert blind_label == label
    assert "vision" not in text
    assert "image" not in text
    assert text.endswith("Find x.<|im_end|>\n<|im_start|>assistant\n")
    plain = seen.replace("<|vision_start|><|image_pad|><|vision_end|>", "")
    assert "".join(text.split()) == "".join(plain.split())


def test_another_intervention_keeps_the_prompt_and_replaces_the_images(processor):
    prompts = OpenRLHFPrompts.of(args_of(), processor)
    grey = Image.new("RGB", (8, 8), (127, 127, 127))
    text, _, images = prompts.build(ROWS["text"], Prompt("id", "blind", "", (grey,)))
    assert text == prompts.build(ROWS["text"], Prompt("id", "image", ""))[0]
    assert images == [grey]


def test_building_a_blind_prompt_leaves_the_row_as_it_is():
    row = ROWS["parts"]["prompt"]
    assert without_images(row) == [{"role": "user", "content": [{"type": "text", "text": "Find x."}]}]
    assert row[0]["content"][0] == {"type": "image"}


@pytest.mark.parametrize(
    ("text", "token", "expected"),
    [
        ("<|vision_start|><|image_pad|><|vision_end|>\nFind x.", "<|image_pad|>", "Find x."),
        ("<img><IMG_CONTEXT><IMG_CONTEXT></img>\nFind x.", "<IMG_CONTEXT>", "Find x."),
        ("a <start_of_image><image_soft_token><end_of_image>b", "<image_soft_token>", "a b"),
        ("USER: <image>\nFind x.", "<image>", "USER: Find x."),
        ("<|vision_end|> is a token", "<|image_pad|>", "<|vision_end|> is a token"),
    ],
)
def test_image_tokens_of_ready_made_prompts_are_taken_out(text, token, expected):
    assert without_image_tokens(text, token) == expected


def test_the_prompts_hash_changes_with_what_changes_prompts_alone(processor, tmp_path):
    agent = tmp_path / "agent.py"
    agent.write_text("AgentExecutor = 1")
    base = OpenRLHFPrompts.of(args_of(), processor)
    other = OpenRLHFPrompts.of(args_of(input_template="{}!"), processor)
    plain = OpenRLHFPrompts.of(args_of(apply_chat_template=False), processor)
    hashes = [base.hash(), other.hash(), plain.hash(), base.hash(str(agent))]
    assert len(set(hashes)) == 4
    assert OpenRLHFPrompts.of(args_of(label_key="gold"), processor).hash() == base.hash()
    agent.write_text("AgentExecutor = 2")
    assert base.hash(str(agent)) != hashes[3]
