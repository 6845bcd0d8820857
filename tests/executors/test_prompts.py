"""What each arm is asked, and the hash that names the recipe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rap_plugin.config import PromptConfig, load_config
from rap_plugin.executors.prompts import make_prompt, prompt_hash, recipe_of, without_placeholders
from rap_plugin.samples.sample import Sample, sample_id
from tests.conftest import png


def make_sample(number: int, *, images: int = 1, question: str | None = None) -> Sample:
    data = tuple(png(number + i, (12 + i, 10)) for i in range(images))
    text = question or "<image>" * images + f"What is number {number}?"
    return Sample(sample_id(text, str(number), data), number, text, str(number), data)


def colours(prompt: Any) -> list[tuple[int, ...]]:
    return [image.getpixel((0, 0)) for image in prompt.images]


def test_the_image_arm_is_the_question_one_space_and_the_instruction() -> None:
    prompt = make_prompt(make_sample(3), "image", PromptConfig(instruction="Think first.", system="You are brief."))
    assert prompt.text == "<image>What is number 3? Think first."
    assert prompt.system == "You are brief."
    assert colours(prompt) == [(3, 0, 77)]


def test_dropped_images_leave_no_placeholder_and_no_gap() -> None:
    sample = make_sample(3, images=2, question="Compare <image> and\n<image>\nnow.")
    prompt = make_prompt(sample, "blind", PromptConfig())
    assert prompt.images == ()
    assert prompt.text == "Compare and\n now."


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("<image>What?", "What?"),
        ("<image>\nWhat?", "What?"),
        ("Look <image> here", "Look here"),
        ("What?", "What?"),
    ],
)
def test_placeholders_go_with_the_space_around_them(text: str, without: str) -> None:
    assert without_placeholders(text) == without


@pytest.mark.parametrize("blind", ["blank", "noise"])
def test_replaced_images_keep_number_and_size_and_show_nothing_of_the_original(blind: Any) -> None:
    sample = make_sample(5, images=2)
    prompt = make_prompt(sample, "blind", PromptConfig(blind=blind))
    assert [image.size for image in prompt.images] == [(12, 10), (13, 10)]
    assert prompt.text == sample.question
    shown = np.unique(np.concatenate([np.asarray(image).reshape(-1, 3) for image in prompt.images]), axis=0)
    assert len(shown) == 1 if blind == "blank" else len(shown) > 200
    assert shown.std(axis=0).max() < 1 if blind == "blank" else abs(shown.mean() - 127.5) < 10


def test_noise_is_the_same_picture_in_every_run_and_another_for_every_sample_and_place() -> None:
    config = PromptConfig(blind="noise")
    first, again, other = (make_prompt(make_sample(n, images=2), "blind", config).images for n in (5, 5, 6))
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(np.asarray(first[0])[:, :12], np.asarray(first[1])[:, :12])


def test_shuffled_images_are_the_partners_repeated_or_cut_to_the_same_number() -> None:
    config, partner = PromptConfig(blind="shuffle"), make_sample(50, images=2)
    three = make_prompt(make_sample(5, images=3), "blind", config, partner)
    assert colours(three) == [(50, 0, 77), (51, 0, 77), (50, 0, 77)]
    assert colours(make_prompt(make_sample(5), "blind", config, partner)) == [(50, 0, 77)]
    with pytest.raises(ValueError, match="needs a partner"):
        make_prompt(make_sample(5), "blind", config)


def test_placeholders_side_by_side_leave_one_space_and_a_recipe_of_their_own() -> None:
    config = PromptConfig(instruction="")
    assert without_placeholders("Compare <image><image> and <image> <image>\n<image>now.") == "Compare and now."
    for question in ("<image><image>What?", "<image> and <image>?", "What? <image>\n<image>", "no image"):
        assert recipe_of("blind", config, [question]) == 1
    assert recipe_of("blind", config, ["What?", "Compare <image><image> now"]) == 2
    assert recipe_of("image", config, ["Compare <image><image> now"]) == 1
    assert recipe_of("blind", PromptConfig(blind="blank"), ["Compare <image><image> now"]) == 1
    assert prompt_hash("blind", config, 2) != prompt_hash("blind", config)


def test_an_intervention_changes_the_hash_of_the_blind_arm_only() -> None:
    drop, noise = PromptConfig(), PromptConfig(blind="noise")
    assert prompt_hash("image", drop) == prompt_hash("image", noise)
    assert prompt_hash("blind", drop) != prompt_hash("blind", noise)
    assert prompt_hash("image", drop) != prompt_hash("blind", drop)


@pytest.mark.parametrize(
    "changed", [{"instruction": "x"}, {"system": "x"}, {"host_recipe": "x"}, {"template_options": {"x": 1}}]
)
def test_every_part_of_a_recipe_changes_both_hashes(changed: dict[str, Any]) -> None:
    for arm in ("image", "blind"):
        assert prompt_hash(arm, PromptConfig()) != prompt_hash(arm, PromptConfig(**changed))  # type: ignore[arg-type]


def test_options_of_the_chat_template_go_with_the_prompt() -> None:
    config = PromptConfig(instruction="", template_options={"enable_thinking": False})
    assert make_prompt(make_sample(3), "blind", config).template_options == {"enable_thinking": False}


@pytest.mark.parametrize(("arm", "known"), [("image", "e76e844a2cfad066"), ("blind", "77107c89172b8312")])
def test_runs_without_an_instruction_keep_the_keys_that_they_always_had(arm: Any, known: str) -> None:
    assert prompt_hash(arm, load_config(flags={"prompt.instruction": ""}).prompt) == known
