"""`rap r3 train`: both steps on the embedded model, stopped and gone on with, and the published recipe."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.errors import RapError
from rap_plugin.trl_hooks.modality_gap import keep_settings, trl_config
from rap_plugin.trl_hooks.region_recipe import RegionRecipe, load_region_recipe
from rap_plugin.trl_hooks.region_training import RegionTraining, _problems_of, read_rows, rl_arguments, sft_arguments
from rap_plugin.vlm_r3.scenes import MODEL_DIR, make_scenes, pool_rows

pytest.importorskip("trl", reason="TRL is not installed")
PUBLISHED = Path(__file__).parents[2] / "examples" / "vlm_r3" / "recipe.yaml"
SMALL = {"sft.rows": 4, "sft.max_steps": 2, "sft.learning_rate": "1e-4", "save_every": 1}
SMALL |= {"rl.prompts": 2, "rl.rollouts": 3, "rl.max_steps": 2, "rl.max_new_tokens": 96, "rl.learning_rate": "1e-4"}
SMALL |= {"rl.trl": "{save_total_limit: 2}"}


def rap(*arguments: object) -> str:
    done = CliRunner().invoke(cli, ["r3", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("regions")
    pq.write_table(pa.Table.from_pylist(pool_rows(make_scenes(8, "train", seed=9))), home / "pool.parquet")
    rap("build-data", home / "pool.parquet", "--out", home / "data")
    return home / "data"


def train(data: Path, out: Path, *more: object) -> str:
    sets = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    return rap("train", "--data", data, "--model", MODEL_DIR, "--out", out, "--per-device", 6, *sets, *more)


def weights(folder: Path) -> dict:
    from safetensors.torch import load_file

    return {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}


def test_rows_that_cannot_be_asked_are_left_out_and_told(data: Path) -> None:
    rows = read_rows(data / "rl.jsonl")
    bad = [{**rows[0], "image_path": "gone.png"}, {**rows[0], "answer": 4}, {"question": "?"}]
    said: list[str] = []
    run = RegionTraining(data, "m", data, say=said.append)
    assert _problems_of([bad[0], *rows, *bad[1:]], run) == rows
    assert "3 rows cannot be trained on" in said[0]
    assert "row 0: its image" in said[0]
    with pytest.raises(RapError, match="no row can be trained on; the first: answer is no text"):
        _problems_of(bad[1:2], run)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b'{"question": "?"}\n{"quest', "line 2 is no JSON"), (b"[1]\n", "line 1 is no row"), (b"\n", "has no rows")],
)
def test_a_damaged_file_of_rows_is_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "rl.jsonl").write_bytes(content)
    with pytest.raises(RapError, match=said) as raised:
        read_rows(tmp_path / "rl.jsonl")
    assert "\n" not in str(raised.value)
    (tmp_path / "rl.jsonl").write_text(json.dumps({"question": "one\u2028line"}, ensure_ascii=False), encoding="utf-8")
    assert len(read_rows(tmp_path / "rl.jsonl")) == 1


def test_a_field_that_trl_has_not_is_one_line_with_the_one_that_was_meant() -> None:
    from trl import GRPOConfig

    with pytest.raises(RapError, match=r"trl.lerning_rate: GRPOConfig has no such field; it has learning_rate"):
        trl_config(GRPOConfig, {}, {"lerning_rate": 1e-6})
    wrong = {"num_generations": 0, "use_cpu": True, "bf16": False}
    with pytest.raises(RapError, match=r"trl \(num_generations\): GRPOConfig refuses it"):
        trl_config(GRPOConfig, wrong, {"num_generations": 0})


def test_settings_that_were_cut_are_one_line_and_never_written_in_part(tmp_path: Path) -> None:
    path = tmp_path / "sft" / "settings.json"
    keep_settings(path, {"seed": 0})
    keep_settings(path, {"seed": 0})
    assert [one.name for one in path.parent.iterdir()] == ["settings.json"]
    path.write_text('{"see')
    with pytest.raises(RapError, match="cannot be read"):
        keep_settings(path, {"seed": 0})


@pytest.mark.slow
def test_both_steps_train_what_answers_and_not_what_sees_and_go_on_where_they_were_stopped(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert f"model: {out / 'rl' / 'final'}" in train(data, out)
    before, taught, after = (weights(folder) for folder in (MODEL_DIR, out / "sft" / "final", out / "rl" / "final"))
    seeing = [name for name in before if "vision_tower" in name or "multi_modal_projector" in name]
    assert len(seeing) > 10
    assert all(before[name].equal(after[name]) for name in seeing)
    for first, second in ((before, taught), (taught, after)):
        assert any(not first[name].equal(second[name]) for name in set(first) & set(second) - set(seeing))
    log = json.loads((out / "rl" / "log.json").read_text())
    assert {"region_reward/accuracy", "regions/looks"} <= set(log[0])

    again = train(data, out)
    assert "sft: done before" in again
    assert "rl: done before" in again
    shutil.rmtree(out / "rl" / "final")
    shutil.rmtree(out / "rl" / "checkpoint-2")
    assert "rl: 8 rows, from checkpoint-1" in train(data, out)
    assert all(after[name].equal(tensor) for name, tensor in weights(out / "rl" / "final").items())
    with pytest.raises(RapError, match="was trained with another"):
        train(data, out, "--set", "rl.temperature=0.5")


def test_the_recipe_of_the_examples_is_the_published_one_and_the_default() -> None:
    recipe = load_region_recipe(PUBLISHED)
    assert recipe == RegionRecipe() == load_region_recipe(None)
    run = RegionTraining(Path("data"), "m", Path("out"), per_device=5)
    assert recipe.sft is not None
    assert recipe.rl is not None
    sft, rl = sft_arguments(recipe, recipe.sft, run, Path("f")), rl_arguments(recipe, recipe.rl, run, Path("f"))
    assert sft["per_device_train_batch_size"] * sft["gradient_accumulation_steps"] == 6 * 4 * 8
    assert (sft["learning_rate"], sft["num_train_epochs"], sft["lr_scheduler_type"]) == (2e-7, 4, "cosine")
    assert rl["per_device_train_batch_size"] * rl["steps_per_generation"] == 5 * 8 * 5
    assert (rl["learning_rate"], rl["num_generations"], rl["beta"]) == (1e-6, 5, 0.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("rl.learningrate=1", "rl.learningrate: there is no such option"),
        ("rl.rollouts=1", "rl.rollouts: input should be greater than or equal to 2"),
        ("rl.reward=best", "rl.reward: input should be 'released' or 'paper'"),
        ("sft", "expected NAME=VALUE"),
    ],
)
def test_a_wrong_change_of_the_recipe_is_one_line(data: Path, tmp_path: Path, change: str, words: str) -> None:
    with pytest.raises(RapError, match=words):
        train(data, tmp_path, "--set", change)


def test_data_that_is_not_there_names_the_command_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(RapError, match="rap r3 build-data"):
        train(tmp_path, tmp_path / "out")
