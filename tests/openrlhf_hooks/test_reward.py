"""The shipped reward file, called as OpenRLHF calls it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.openrlhf_hooks.reward import UNGRADED, response_of, reward_func

PROMPT = (
    "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Find x. First think inside <think></think>, then put the "
    "final answer in \\boxed{}.<|im_end|>\n<|im_start|>assistant\n"
)
SEEN = PROMPT.replace("<|image_pad|>", "<|image_pad|>" * 300)


def reward(response, label="3", prompt=PROMPT, seen=SEEN):
    return reward_func([seen + response], [prompt], [label])


@pytest.mark.parametrize(
    ("response", "rewards", "score", "formatted"),
    [
        ("<think>1 + 2</think> \\boxed{3}<|im_end|>", 1.0, 1.0, 1.0),
        ("It is \\boxed{3.0}<|im_end|>", 0.9, 1.0, 0.0),
        ("<think>1 + 2</think> \\boxed{4}<|im_end|>", 0.1, 0.0, 1.0),
        ("no idea<|im_end|>", 0.0, 0.0, 0.0),
        ("<think>the answer goes in \\boxed{}", 0.0, 0.0, 0.0),
    ],
)
def test_the_reward_is_nine_parts_accuracy_and_one_part_format(response, rewards, score, formatted):
    given = reward(response)
    assert given["rewards"] == pytest.approx(rewards)
    assert given["scores"] == score
    assert given["extra_logs"] == {"rap_format": formatted, UNGRADED: 0.0}


def test_options_in_the_prompt_are_known_to_the_grader():
    prompt = "<|im_start|>user\nWhich?\nA. 12 cm\nB. 15 cm<|im_end|>\n<|im_start|>assistant\n"
    assert reward("\\boxed{15 cm}", "B", prompt, prompt)["scores"] == 1.0
    assert reward("\\boxed{12 cm}", "B", prompt, prompt)["scores"] == 0.0


@pytest.mark.parametrize("label", ["We count: \\boxed{3}.", "<think>2 + 1</think><answer>3</answer>", 3, ["3"]])
def test_the_marked_answer_of_a_worked_solution_is_the_gold(label):
    assert reward_func(["Q: \\boxed{3}"], ["Q:"], [label])["scores"] == 1.0
    assert reward_func(["Q: \\boxed{4}"], ["Q:"], [label])["scores"] == 0.0


def test_a_response_that_cannot_be_judged_is_marked_and_not_a_silent_zero():
    given = reward("\\boxed{3}", label="")
    assert (given["rewards"], given["extra_logs"][UNGRADED]) == (0.0, 1.0)
    pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")
    from rap_plugin.openrlhf_hooks.actors import reward_of

    assert reward_of({"reward": given["rewards"], "scores": given["scores"], "extra_logs": given["extra_logs"]}) is None
    assert reward_of({"reward": 0.9, "scores": 1.0, "extra_logs": {UNGRADED: 0.0}}) == 1.0
    assert reward_of({"reward": 0.9, "scores": None, "extra_logs": {}}) == 0.9


def test_several_responses_get_lists():
    given = reward_func([SEEN + "\\boxed{3}", SEEN + "\\boxed{4}"], [PROMPT, PROMPT], ["3", "3"])
    assert given["scores"] == [1.0, 0.0]
    assert given["rewards"] == pytest.approx([0.9, 0.0])


def test_a_response_that_repeats_the_prompt_is_read_whole():
    response = f"{PROMPT}and then \\boxed{{3}}"
    assert response_of(SEEN + response + "<|im_end|>", PROMPT) == response.strip()


def test_a_query_without_its_prompt_is_refused():
    with pytest.raises(ValueError, match="does not hold its prompt"):
        response_of("something else altogether", PROMPT)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "internvl"])
def test_responses_are_found_behind_what_processors_make_of_images(family, tmp_path):
    pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")
    from openrlhf.utils.utils import get_tokenizer
    from openrlhf.utils.vlm_utils import process_prompt_with_images
    from PIL import Image

    from tests.engines import tiny_models

    processor = get_tokenizer(str(tiny_models.build(family, tmp_path)), None, "left", None)
    chat = [{"role": "user", "content": [{"type": "text", "text": "Find x."}, {"type": "image"}]}]
    prompt = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    tokens, _, _ = process_prompt_with_images(processor, prompt, [Image.new("RGB", (80, 40))])
    answer = processor.tokenizer("so \\boxed{3}<|im_end|>", add_special_tokens=False)["input_ids"]
    query = processor.decode([*tokens, *answer], skip_special_tokens=False)
    assert not query.startswith(prompt)
    assert response_of(query, prompt) == "so \\boxed{3}"


def test_openrlhf_loads_the_file_by_its_path_and_calls_it_from_its_threads():
    pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")
    from openrlhf.utils.agent import SingleTurnAgentExecutor

    path = CliRunner().invoke(cli, ["path", "openrlhf-reward"]).output.strip()
    executor = SingleTurnAgentExecutor([path])

    async def ask(numbers):
        calls = [executor._fetch_rewards_via_func([SEEN + f"\\boxed{{{n}}}"], [PROMPT], ["3"]) for n in numbers]
        return await asyncio.gather(*calls)

    answers = asyncio.run(ask([3, 4, 3]))
    assert [SimpleNamespace(**found[0]).scores for found in answers] == [1.0, 0.0, 1.0]
