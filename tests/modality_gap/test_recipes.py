"""The six recipes: what the example files say, what a change reaches, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rap_plugin.errors import RapError
from rap_plugin.modality_gap.recipes import RECIPES, chain_of, load_recipe, read_recipe, with_changes

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "modality_gap"


@pytest.mark.parametrize("name", RECIPES)
def test_the_example_file_of_a_recipe_says_what_the_recipe_is(name: str) -> None:
    assert load_recipe(str(EXAMPLES / f"{name}.yaml")) == load_recipe(name)


def test_all_recipes_train_with_the_published_numbers() -> None:
    for recipe in RECIPES.values():
        training = recipe.training
        assert (training.prompts, training.rollouts, training.mini_batch) == (512, 5, 128)
        assert (training.learning_rate, training.temperature) == (1e-6, 0.8)
        assert (training.clip_low, training.clip_high, training.dual_clip) == (0.2, 0.28, 10.0)
        assert (training.overlong_buffer, training.overlong_factor) == (1024, 1.0)
        assert training.sampling_rounds > 1
    loss = RECIPES["contrastive_kl"].contrastive
    assert loss is not None
    assert (loss.form, loss.coefficient, loss.sampled_by) == ("k3", 0.01, "teacher")


def test_the_curricula_follow_what_they_start_from() -> None:
    chains = {name: [one.name for one in chain_of(recipe, RECIPES)] for name, recipe in RECIPES.items()}
    assert chains == {
        "full_text": ["full_text"],
        "no_text": ["no_text"],
        "mix": ["mix"],
        "curriculum": ["full_text", "curriculum"],
        "contrastive_kl": ["contrastive_kl"],
        "kl_curriculum": ["contrastive_kl", "kl_curriculum"],
    }


def test_a_change_of_the_training_reaches_what_a_recipe_starts_from() -> None:
    changed, known = with_changes(
        RECIPES["kl_curriculum"],
        ["training.prompts=8", "training.mini_batch=4", "steps=6", "start_step=6", "contrastive.form=nll"],
    )
    chain = chain_of(changed, known)
    assert [one.steps for one in chain] == [6, 6]
    assert [one.training.prompts for one in chain] == [8, 8]
    assert chain[0].contrastive is not None
    assert chain[0].contrastive.form == "nll"
    assert changed.contrastive is None


def test_the_contrastive_recipe_may_start_from_full_text() -> None:
    changed, known = with_changes(RECIPES["contrastive_kl"], ["start=full_text"])
    assert [one.name for one in chain_of(changed, known)] == ["full_text", "contrastive_kl"]


def test_numbers_without_a_point_are_numbers() -> None:
    assert RECIPES["mix"].changed(["training.learning_rate=5e-5"]).training.learning_rate == 5e-5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["training.promts=8"], "training.promts"),
        (["training.prompts=0"], "training.prompts"),
        (["training.prompts=100"], "multiple of training.mini_batch"),
        (["steps"], "NAME=VALUE"),
        (["steps.more=1"], "not a section"),
        (["condition=contrastive"], "belong together"),
        (["training.max_response_tokens=64"], "overlong_buffer must be smaller"),
        (["steps=[1"], "not YAML"),
        (["tolerance=loose"], "tolerance"),
    ],
)
def test_what_cannot_be_is_one_line(changes: list[str], said: str) -> None:
    with pytest.raises(RapError, match=said) as raised:
        RECIPES["mix"].changed(changes)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name: x\ncondition: text\nstart: nobody", "no recipe"),
        ("name: x\ncondition: text\nstart: x", "starts from itself"),
        ("name: x\ncondition: text\nstart: mix\nstart_step: 30", "keeps every 50th"),
        ("name: x\ncondition: text\nstart: mix\nstart_step: 900", "keeps every 50th"),
        ("name: ../x\ncondition: text", "name"),
        ("name: base\ncondition: text", "untrained model"),
        ("name: x\ncondition: text\nstart_step: 50", "start_step is set without start"),
        ("- text", "at the top"),
        ("name: [", "not a YAML file"),
        ("name: " + "[" * 20_000, "not a YAML file"),
    ],
)
def test_a_file_that_cannot_be_trained_is_one_line(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(RapError, match=said) as raised:
        chain_of(*with_changes(load_recipe(str(path)), []))
    assert "\n" not in str(raised.value)


def test_a_name_that_is_no_recipe_lists_them() -> None:
    with pytest.raises(RapError, match="full_text, no_text, mix"):
        load_recipe("fulltext")
    assert read_recipe({"name": "own", "condition": "text"}, "here").steps == 200
