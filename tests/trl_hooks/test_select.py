"""`select_dataset`: the embedded model over problems about digits, with evidence that is kept and used again."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rap_plugin.errors import RapError
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.run_dir import files
from rap_plugin.selectors.row_count import RowCounts
from rap_plugin.trl_hooks import accuracy_reward, format_reward, select_dataset
from rap_plugin.trl_hooks.options import prompts_per_batch
from tests.trl_hooks.conftest import QUICK, SYSTEM


def sampled(run: Path) -> int:
    """Rollouts that the engine was ever asked for."""
    return int(json.loads((run / files.COST).read_text())["total"]["rollouts"])


@pytest.fixture(scope="session")
def rows(digits: Callable[..., Any]) -> Any:
    return digits(30)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, rows: Any, model_dir: str) -> Path:
    """A finished run over `rows`."""
    folder = tmp_path_factory.mktemp("trl") / "run"
    select_dataset(rows, model_dir, out=folder, **QUICK)
    return folder


def test_selected_rows_keep_columns_features_and_order(rows: Any, run: Path, model_dir: str) -> None:
    import pyarrow.parquet as pq

    chosen = select_dataset(rows, model_dir, out=run, **QUICK)
    assert 0 < len(chosen) < len(rows)
    assert chosen.features == rows.features
    assert list(chosen["row"]) == pq.read_table(run / files.SELECTED)["row"].to_pylist()
    assert chosen[0] == rows[chosen[0]["row"]]
    assert (run / files.REPORT).is_file()


def test_a_second_call_asks_the_model_nothing_and_a_threshold_neither(rows: Any, run: Path, model_dir: str) -> None:
    first = sampled(run)
    assert first == 2 * 4 * 30
    loose = select_dataset(rows, model_dir, out=run, lambda_c=0.0, drm=False, **QUICK)
    strict = select_dataset(rows, model_dir, out=run, lambda_c=0.6, drm=False, **QUICK)
    assert len(strict) < len(loose)
    assert sampled(run) == first


def test_the_scores_come_as_columns_when_asked_for(rows: Any, run: Path, model_dir: str) -> None:
    chosen = select_dataset(rows, model_dir, out=run, scores=True, **QUICK)
    assert set(chosen["rap_verdict"]) <= {"selected", "hard_replacement"}
    for row in chosen:
        assert row["rap_discrepancy"] == pytest.approx(row["rap_acc_image"] - row["rap_acc_blind"])
    again = select_dataset(chosen, model_dir, out=run.with_name("again"), selector="random", scores=True, **QUICK)
    assert len(again.column_names) == len(set(again.column_names))


def test_a_selection_smaller_than_a_generation_batch_is_filled_up_or_repeated(
    rows: Any, run: Path, model_dir: str, capsys: pytest.CaptureFixture[str]
) -> None:
    strict = {**QUICK, "lambda_c": 0.6, "drm": False, "quiet": False}
    plain = len(select_dataset(rows, model_dir, out=run, **strict))
    args = SimpleNamespace(generation_batch_size=4 * 25, num_generations=4)
    filled = select_dataset(rows, model_dir, out=run, args=args, scores=True, **strict)
    assert (len(filled), filled["rap_verdict"][:].count("filled_up")) == (25, 25 - plain)
    assert "filled up to 25, at least 25" in " ".join(capsys.readouterr().out.split())
    again = select_dataset(rows, model_dir, out=run, args=args, scores=True, size_by="repeat", **strict)
    assert (len(again), len(set(again["row"]))) == (25, plain)
    assert again["rap_id"][:] == [known["rap_id"] for known in again]
    assert f"{plain} rows are repeated to 25, at least 25" in capsys.readouterr().out
    few = SimpleNamespace(generation_batch_size=4 * 99, num_generations=4)
    with pytest.raises(
        RapError, match=r"30 rows, .* at least 99 of them, as in 99, 100, 101; .* set size_by to repeat"
    ):
        select_dataset(rows, model_dir, out=run, args=few, **QUICK)


def test_trl_makes_steps_on_just_the_numbers_of_rows_that_fit() -> None:
    from trl.trainer.utils import RepeatSampler

    for prompts in range(1, 40):
        args = SimpleNamespace(generation_batch_size=4 * prompts, num_generations=4)
        counts = RowCounts(minimum=prompts_per_batch(args))
        for size in range(1, 80):
            sampler = RepeatSampler(range(size), mini_repeat_count=4, batch_size=prompts, repeat_count=2)
            assert counts.fits(size) == (next(iter(sampler), None) is not None)


def test_rewards_are_the_grades_of_the_evidence(run: Path) -> None:
    with closing(EvidenceStore(run / files.EVIDENCE, read_only=True)) as store:
        found = store.query(
            "SELECT question, gold, text, reward, well_formatted FROM rollouts JOIN responses USING (sample, probe, rollout) "
            "JOIN samples USING (sample)"
        ).fetchall()
    assert len(found) == 2 * 4 * 30
    prompts = [[{"role": "user", "content": row[0]}] for row in found]
    completions = [[{"role": "assistant", "content": row[2]}] for row in found]
    rewards = accuracy_reward(prompts, completions, answer=[row[1] for row in found])
    assert rewards == [row[3] for row in found]
    assert {0.0, 1.0} <= set(rewards)
    assert format_reward(prompts, completions) == [float(row[4]) for row in found]


def test_a_model_in_memory_selects_like_its_folder_and_is_left_as_it_was(
    rows: Any, run: Path, model: Any, processor: Any, tmp_path: Path, model_dir: str
) -> None:
    model.train()
    model.model.vision_tower.eval()
    chosen = select_dataset(rows, model, processing_class=processor, out=tmp_path / "run", **QUICK)
    assert list(chosen["row"]) == list(select_dataset(rows, model_dir, out=run, **QUICK)["row"])
    assert model.training
    assert not model.model.vision_tower.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.config.get_text_config()._attn_implementation == "sdpa"


def test_other_weights_in_memory_are_sampled_anew(
    digits: Callable[..., Any], model: Any, processor: Any, tmp_path: Path
) -> None:
    import torch

    quick = {**QUICK, "rollouts": 1, "selector": "random", "keep": 0.5, "max_new_tokens": 8, "curtail": False}
    rows = digits(4)
    for count in (8, 8):
        select_dataset(rows, model, processing_class=processor, out=tmp_path / "run", **quick)
        assert sampled(tmp_path / "run") == count
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 0.5
    select_dataset(rows, model, processing_class=processor, out=tmp_path / "run", **quick)
    assert sampled(tmp_path / "run") == 16


def test_adapters_are_at_work_while_a_model_is_sampled(
    digits: Callable[..., Any], model: Any, processor: Any, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft", reason="PEFT is not installed")
    import torch

    quick = {**QUICK, "rollouts": 1, "selector": "random", "keep": 0.5, "curtail": False}
    rows = digits(4)
    adapted = peft.get_peft_model(model, peft.LoraConfig(target_modules=["q_proj", "v_proj"], r=2))
    said = []
    for strength in (0.0, 3.0):
        with torch.no_grad():
            for name, weight in adapted.named_parameters():
                if "lora_B" in name:
                    weight.fill_(strength)
        run = tmp_path / f"run-{strength}"
        select_dataset(rows, adapted, processing_class=processor, out=run, **quick)
        with closing(EvidenceStore(run / files.EVIDENCE, read_only=True)) as store:
            said.append(store.query("SELECT text FROM responses ORDER BY sample, probe, rollout").fetchall())
    assert len(said[0]) == 8
    assert said[0] != said[1]


def test_another_system_message_is_another_prompt(digits: Callable[..., Any], model_dir: str, tmp_path: Path) -> None:
    quick = {**QUICK, "rollouts": 1, "selector": "random", "keep": 0.5, "max_new_tokens": 8, "curtail": False}
    select_dataset(digits(3), model_dir, out=tmp_path / "run", **quick)
    with pytest.raises(RapError, match=r"or add extend=True"):
        select_dataset(digits(3, system=SYSTEM), model_dir, out=tmp_path / "run", **quick)
    select_dataset(digits(3, system=SYSTEM), model_dir, out=tmp_path / "run", extend=True, **quick)
    assert sampled(tmp_path / "run") == 12


def test_a_damaged_image_goes_to_quarantine_and_its_row_is_left_out(
    digits: Callable[..., Any], model_dir: str, tmp_path: Path
) -> None:
    import datasets
    import pyarrow.parquet as pq

    rows = digits(6).cast_column("image", datasets.Image(decode=False))
    damaged = rows.map(
        lambda row: {"image": {"bytes": row["image"]["bytes"][:99], "path": None}} if row["row"] == 2 else {}
    )
    damaged = damaged.cast_column("image", datasets.Image())
    chosen = select_dataset(
        damaged,
        model_dir,
        out=tmp_path / "run",
        selector="random",
        keep=1.0,
        **{**QUICK, "max_new_tokens": 8, "rollouts": 1},
    )
    assert list(chosen["row"]) == [0, 1, 3, 4, 5]
    quarantine = pq.read_table(tmp_path / "run" / files.QUARANTINE).to_pylist()
    assert [(row["rap_row"], row["rap_status"]) for row in quarantine] == [(2, "unreadable_image")]


def test_errors_are_one_line(
    rows: Any, run: Path, model: Any, model_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(match: str, *given: Any, **options: Any) -> None:
        with pytest.raises(RapError, match=match) as raised:
            select_dataset(*given, **{"out": tmp_path / "new", **QUICK, **options})
        assert "\n" not in str(raised.value)

    refused("needs its processor", rows, model)
    refused("is a dict; give a folder", rows, {})
    refused("no such model folder", rows, "/nowhere/model")
    refused("did you mean keep", rows, model_dir, kep=0.1)
    refused("cannot tell which column holds the gold answers", rows.remove_columns(["answer"]), model_dir)
    refused("the selection is empty.*lower lambda_c", rows, model_dir, out=run, lambda_c=1.0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    refused("not empty and not a run directory", rows, model_dir, out=tmp_path / "full")
    monkeypatch.setenv("WORLD_SIZE", "4")
    refused("one process, and this launch has 4", rows, model_dir)
