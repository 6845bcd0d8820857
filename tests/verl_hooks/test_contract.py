"""The names of verl that our data set and replay buffer need are where they are expected; one that is gone is named."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest

pytest.importorskip("verl", reason="verl is not installed")

from rap_plugin.errors import RapError
from rap_plugin.hosts.contract import installed, unmet
from rap_plugin.verl_hooks import contract


def test_the_installed_version_has_everything() -> None:
    assert unmet(contract.DATASET) == []
    pytest.importorskip("transfer_queue", reason="verl's default trainer needs TransferQueue")
    assert unmet(contract.TRAINER) == []


def test_the_installed_version_is_one_that_is_tested() -> None:
    assert installed(contract.VERL) in contract.VERL.tested


def test_verl_still_loads_classes_and_functions_as_the_documentation_says() -> None:
    from verl.trainer.ppo.utils import create_rl_dataset, create_rl_sampler
    from verl.utils.import_utils import load_extern_object

    import rap_plugin.verl_hooks as hooks

    assert load_extern_object("pkg://rap_plugin.verl_hooks", "RapDataset") is hooks.RapDataset
    assert load_extern_object("pkg://rap_plugin/verl_hooks", "compute_score") is hooks.compute_score
    assert list(inspect.signature(create_rl_dataset).parameters)[:4] == [
        "data_paths",
        "data_config",
        "tokenizer",
        "processor",
    ]
    assert list(inspect.signature(create_rl_sampler).parameters) == ["data_config", "dataset"]


def test_the_legacy_trainer_still_tells_its_data_set_about_batches() -> None:
    from verl.trainer.ppo.ray_trainer import RayPPOTrainer

    source = inspect.getsource(RayPPOTrainer.fit)
    assert "self.train_dataset.on_batch_end(batch=batch)" in source
    assert 'batch.batch["token_level_scores"]' in source


def test_rollouts_of_the_default_trainer_still_carry_the_rows_columns() -> None:
    pytest.importorskip("transfer_queue", reason="verl's default trainer needs TransferQueue")
    from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
    from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ

    source = inspect.getsource(AgentLoopWorkerTQ._agent_loop_postprocess)
    assert "field.update(kwargs)" in source
    assert 'keys.append(f"{uid}_{session_id}_{i}")' in source
    assert 'output["rm_scores"]' in inspect.getsource(AgentLoopOutput.as_dict)


@pytest.mark.parametrize(
    ("name", "replacement", "message"),
    [
        ("_read_files_and_tokenize", None, "RLHFDataset._read_files_and_tokenize is gone"),
        ("maybe_filter_out_long_prompts", lambda self: None, "has no parameter 'dataframe'"),
        ("_read_files_and_tokenize", lambda self: None, "no longer uses 'max_samples'"),
    ],
)
def test_what_has_moved_is_named_with_the_way_around_it(
    monkeypatch: pytest.MonkeyPatch, name: str, replacement: Any, message: str
) -> None:
    kind = importlib.import_module("verl.utils.dataset.rl_dataset").RLHFDataset
    monkeypatch.setattr(kind, name, replacement)
    with pytest.raises(RapError) as raised:
        contract.require(contract.DATASET)
    line = str(raised.value)
    assert message in line
    assert "rap export RUN --to verl" in line
    assert "\n" not in line


def test_a_module_that_is_gone_is_named() -> None:
    with pytest.raises(RapError, match=r"verl\.nowhere\.thing is gone"):
        contract.require({"verl.nowhere:thing": ((), ())})
