"""The recipes with TRL, a few steps on a random model: stages chain, stopped ones go on, finished ones stay."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="TRL is not installed (pip install 'rap-plugin[trl]')")

import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.errors import RapError
from rap_plugin.modality_gap.recipes import RECIPES, GapRecipe, with_changes
from rap_plugin.trl_hooks.modality_gap import (
    FINAL,
    LOG,
    TrainingRun,
    arguments,
    last_checkpoint,
    make_trainer,
    train,
)
from rap_plugin.trl_hooks.modality_gap_rows import find_pairs, read_pairs, rows_of
from tests.trl_hooks.gap_training import SMALL, build_model, differ, weights, write_pairs


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "train.parquet")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def run(pairs: Path, model: Path, tmp_path: Path) -> TrainingRun:
    return TrainingRun(pairs, str(model), tmp_path / "out", seed=1, per_device=4, say=lambda _: None)


def small(name: str, *changes: str) -> tuple[GapRecipe, dict[str, GapRecipe]]:
    return with_changes(RECIPES[name], [*SMALL, *changes])


def test_a_curriculum_trains_its_start_and_goes_on_from_the_step_that_it_names(run: TrainingRun, model: Path) -> None:
    final = train(*_swap(small("curriculum", "start_step=1"), run))
    first = run.folder("full_text")
    assert {path.name for path in first.glob("checkpoint-*")} == {"checkpoint-2", "checkpoint-4"}
    assert (
        json.loads((run.folder("curriculum") / "settings.json").read_text())["start"] == "full_text/seed-1/checkpoint-2"
    )
    assert differ(weights(final), weights(first / FINAL))
    assert differ(weights(first / FINAL), weights(model))
    log = json.loads((run.folder("curriculum") / LOG).read_text())
    assert [line["step"] for line in log if "reward" in line] == [2, 4]
    before = (final / "model.safetensors").stat().st_mtime_ns
    train(*_swap(small("curriculum", "start_step=1"), run))
    assert (final / "model.safetensors").stat().st_mtime_ns == before, "what is done is not trained again"


def test_one_command_trains_all_six_recipes_and_its_second_call_trains_nothing(run: TrainingRun) -> None:
    one_step = ("training.prompts=2", "training.mini_batch=2", "steps=1", "start_step=1")
    changes = [word for change in (*SMALL, *one_step) for word in ("--set", change)]
    line = ["modality-gap", "train", "--all", "--data", str(run.data), "--model", run.model, "--out", str(run.out)]
    for said in (": 1 steps from ", ": done before"):
        done = CliRunner().invoke(cli, [*line, "--seed", "1", *changes], catch_exceptions=False)
        assert done.exit_code == 0
        assert all(f"{name} (seed 1){said}" in done.output for name in RECIPES)
    starts = {name: json.loads((run.folder(name) / "settings.json").read_text())["start"] for name in RECIPES}
    assert starts["curriculum"] == "full_text/seed-1/final"
    assert starts["kl_curriculum"] == "contrastive_kl/seed-1/final"
    assert {starts[name] for name in ("full_text", "no_text", "mix", "contrastive_kl")} == {run.model}


@pytest.mark.parametrize("given", [[], ["mix", "--all"], ["mixed"]])
def test_a_command_without_one_recipe_is_one_line_that_lists_them(given: list[str], run: TrainingRun) -> None:
    line = ["modality-gap", "train", *given, "--data", str(run.data), "--model", run.model, "--out", str(run.out)]
    done = CliRunner().invoke(cli, line)
    assert isinstance(done.exception, RapError)
    assert "full_text, no_text, mix" in str(done.exception)


def test_a_stopped_stage_goes_on_from_its_last_whole_checkpoint(run: TrainingRun) -> None:
    """What a kill leaves behind: a whole checkpoint, and one whose state was not written yet."""
    recipe, known = small("contrastive_kl", "steps=3")
    end = weights(train(recipe, run, known))
    assert differ(end, weights(Path(run.model)))
    folder = run.folder("contrastive_kl")
    shutil.rmtree(folder / FINAL)
    shutil.rmtree(folder / "checkpoint-6")
    (folder / "checkpoint-4" / "trainer_state.json").write_text('{"half')
    assert last_checkpoint(folder) == folder / "checkpoint-2"
    said: list[str] = []
    again = weights(train(recipe, TrainingRun(run.data, run.model, run.out, 1, 4, said.append), known))
    assert any("from checkpoint-2" in line for line in said)
    assert not differ(end, again), "a training that was stopped ends where the other one does"


def test_another_setting_in_the_same_folder_is_refused(run: TrainingRun) -> None:
    recipe, known = small("no_text", "steps=1")
    train(recipe, run, known)
    with pytest.raises(RapError, match="another recipe") as raised:
        train(recipe.changed(["steps=2"]), run, known)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("sampled_by", ["teacher", "student"])
def test_the_rows_of_a_condition(pairs: Path, sampled_by: str) -> None:
    both = read_pairs(pairs)
    text, image, mix = (rows_of(both, name) for name in ("text", "image", "mix"))
    assert text.column_names.count("contrastive_prompt") == image.column_names.count("contrastive_prompt") == 0
    assert "answer the question: " in text[0]["prompt"][0]["content"]
    assert text[0]["prompt"][0]["content"] != image[0]["prompt"][0]["content"]
    assert [row["prompt"] for row in mix] == [row["prompt"] for rows in (text, image) for row in rows]
    sampled, other = (text, image) if sampled_by == "teacher" else (image, text)
    contrastive = rows_of(both, "contrastive", sampled_by)
    assert contrastive["prompt"][:] == sampled["prompt"][:]
    assert contrastive["contrastive_prompt"][:] == other["prompt"][:]


def test_rows_in_verls_form_are_pairs_too(pairs: Path, tmp_path: Path) -> None:
    plain = pq.read_table(pairs).to_pylist()
    rows = [
        {
            "prompt": [{"role": "user", "content": f"<image>{row['text']}"}],
            "contrastive_prompt": [{"role": "user", "content": f"<image>{row['image']}"}],
            "images": row["images"],
            "reward_model": {"style": "rule", "ground_truth": row["answer"]},
        }
        for row in plain
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    read, known = read_pairs(find_pairs(tmp_path)), read_pairs(pairs)
    for name in ("text", "image", "answer"):
        assert read[name][:] == known[name][:]


def test_the_published_batches_come_out_of_any_number_of_devices() -> None:
    for devices in (1, 2, 4, 8):
        given = arguments(RECIPES["full_text"], Path("out"), 0, devices, per_device=4)
        update = given["per_device_train_batch_size"] * given["gradient_accumulation_steps"] * devices
        assert update == 128 * 5
        assert given["steps_per_generation"] == 4 * given["gradient_accumulation_steps"]
        assert given["max_steps"] == 200 * 4
    with pytest.raises(RapError, match="cannot be shared by 3 devices"):
        arguments(RECIPES["full_text"], Path("out"), 0, devices=3)


def test_fields_of_trl_pass_through(run: TrainingRun, pairs: Path) -> None:
    recipe, _ = small("mix", "trl.weight_decay=0.25")
    trainer = make_trainer(recipe, pairs, run.model, run.out, run)
    assert trainer.args.weight_decay == 0.25
    assert (trainer.args.epsilon_high, trainer.args.delta, trainer.args.loss_type) == (0.28, 10.0, "dapo")
    assert len(trainer.train_dataset) == 16


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda path: path.write_bytes(b"no parquet"), "not a Parquet file"),
        (
            lambda path: pq.write_table(pa.table({"text": ["a"], "images": [[]], "answer": ["1"]}), path),
            "no column image",
        ),
        (
            lambda path: pq.write_table(pa.table({"text": ["a"], "image": ["b"], "images": [[]]}), path),
            "no column answer",
        ),
        (lambda path: None, "no Parquet file of pairs"),
    ],
)
def test_data_that_cannot_be_trained_on_is_one_line(break_it: Callable[[Path], Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    break_it(path)
    with pytest.raises(RapError, match=said) as raised:
        read_pairs(find_pairs(tmp_path))
    assert "\n" not in str(raised.value)


def test_too_few_rows_and_no_model_are_one_line(run: TrainingRun, pairs: Path) -> None:
    recipe, known = small("no_text", "training.prompts=16")
    with pytest.raises(RapError, match="8 rows do not fill one step of 16"):
        train(recipe, run, known)
    with pytest.raises(RapError, match="no vision-language model"):
        make_trainer(small("no_text")[0], pairs, str(run.out / "nothing"), run.out, run)


def _swap(made: tuple[GapRecipe, dict[str, GapRecipe]], run: TrainingRun) -> tuple[GapRecipe, TrainingRun, Any]:
    return made[0], run, made[1]
