"""The names of OpenRLHF that the filter needs are where they are expected; one that is gone is named."""

from __future__ import annotations

import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")

from rap_plugin.errors import RapError
from rap_plugin.hosts.contract import installed
from rap_plugin.openrlhf_hooks import contract

from .command import arguments, run_command, source

ENGINES = contract.ENGINES
GOOD = {"train": print, "create_vllm_engines": print}


def test_the_installed_version_has_everything():
    assert contract.unmet() == []


def test_the_installed_version_has_places_for_the_contrastive_loss_and_for_following():
    contract.require_contrastive()
    contract.require_following()


def test_a_training_step_that_moved_is_named_with_the_way_around_it(monkeypatch):
    module, _, name = contract.ACTOR_TRAINER.partition(":")
    monkeypatch.delattr(f"{module}.{name}.training_step")
    with pytest.raises(RapError, match=r"training_step is gone .*rap modality-gap train contrastive_kl"):
        contract.require_contrastive()


def test_the_installed_version_is_one_that_is_tested():
    assert installed(contract.OPENRLHF) in contract.OPENRLHF.tested


def test_the_command_defines_what_is_wrapped():
    text = source().read_text()
    assert "\ndef train(args):\n" in text
    assert "vllm_engines = create_vllm_engines(" in text
    assert "\n    train(args)\n" in text


def test_the_command_has_every_flag_that_is_read():
    contract.require_arguments(run_command(arguments("model", "train.jsonl")))


def test_the_class_behind_the_actor_is_openrlhfs_own():
    kind = contract.actor_class()
    assert (kind.__module__, kind.__name__) == (ENGINES, "RolloutRayActor")


@pytest.mark.parametrize(
    ("module", "name", "replacement", "message"),
    [
        ("openrlhf.datasets.utils", "blending_datasets", None, "openrlhf.datasets.utils.blending_datasets is gone"),
        (
            "openrlhf.datasets.prompts_dataset",
            "preprocess_data",
            lambda data, label_key: None,
            "openrlhf.datasets.prompts_dataset.preprocess_data has no parameter 'input_template'",
        ),
        (ENGINES, "RolloutRayActor", object(), f"{ENGINES}.RolloutRayActor is not a Ray actor class"),
        (
            ENGINES,
            "create_vllm_engines",
            lambda: None,
            f"{ENGINES}.create_vllm_engines no longer uses 'RolloutRayActor'",
        ),
    ],
)
def test_what_has_moved_is_named_with_the_way_around_it(monkeypatch, module, name, replacement, message):
    import importlib

    monkeypatch.setattr(importlib.import_module(module), name, replacement)
    with pytest.raises(RapError) as raised:
        contract.require(GOOD)
    line = str(raised.value)
    assert message in line
    assert "rap export RUN --to openrlhf" in line
    assert "\n" not in line


def test_a_command_without_the_function_is_named():
    with pytest.raises(RapError, match=r"openrlhf\.cli\.train_ppo_ray\.create_vllm_engines is gone"):
        contract.require({"train": print})


def test_an_argument_that_is_gone_is_named():
    args = run_command(arguments("model", "train.jsonl"))
    del args.data.image_key
    with pytest.raises(RapError, match=r"--data\.image_key is gone"):
        contract.require_arguments(args)
