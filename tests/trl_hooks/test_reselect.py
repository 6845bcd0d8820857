"""A selection that follows the model, under TRL's real trainers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rap_plugin.errors import EmptySelection, RapError
from rap_plugin.hosts.batches import repeat_rows
from rap_plugin.run_dir import files
from rap_plugin.trl_hooks import Reselection, log_selection, select_dataset
from tests.trl_hooks.conftest import QUICK

METRICS = (
    "rap/selected",
    "rap/share",
    "rap/informative",
    "rap/informative_pool",
    "rap/accuracy_image",
    "rap/accuracy_blind",
    "rap/selection_seconds",
    "rap/selection_rollouts",
    "rap/selection_tokens",
    "rap/stability",
)


class Seen:
    """A reward that only notes which rows the trainer reads, step by step."""

    __name__ = "seen"

    def __init__(self) -> None:
        self.steps: list[list[int]] = []

    def __call__(self, prompts: Any, completions: Any, row: Any, **columns: Any) -> list[None]:
        self.steps.append(sorted(row)[::4])  # one of the four responses to each place
        return [None] * len(prompts)

    def between(self, first: int, last: int) -> list[int]:
        return sorted(number for step in self.steps[first:last] for number in step)


def begin(
    digits: Callable[..., Any], model: Any, processor: Any, out: Path, n: int = 32, **options: Any
) -> Reselection:
    quick = {**QUICK, "drm": False, "lambda_c": 0.2}
    return Reselection(digits(n), model, out=out, processing_class=processor, **{**quick, "size": 8, **options})


def history(trainer: Any) -> list[dict[str, float]]:
    return [entry for entry in trainer.state.log_history if "rap/selected" in entry]


def test_the_second_epoch_reads_what_was_selected_with_the_weights_after_the_first(
    digits: Callable[..., Any], model: Any, processor: Any, make_trainer: Callable[..., Any], tmp_path: Path
) -> None:
    seen = Seen()
    again = begin(digits, model, processor, tmp_path / "run", curtail=False)
    trainer = make_trainer(again.dataset, reward=seen, report_to="tensorboard")
    again.attach(trainer)
    trainer.train()

    first, second = again.rounds
    assert (first.step, second.step) == (0, 2)
    assert seen.between(0, 2) == repeat_rows(first.rows, 8, 0)
    assert seen.between(2, 4) == repeat_rows(second.rows, 8, 2)
    assert first.rows != second.rows
    # It is what a selection of its own makes of the weights at that moment, and they differ from the first ones.
    assert (second.run / files.REPORT).is_file()
    weights = [round.run.joinpath(files.RUN).read_text().split('"weights_hash": "')[1][:64] for round in again.rounds]
    assert weights[0] != weights[1]

    logged = history(trainer)
    assert [entry["step"] for entry in logged] == [0, 2]
    for entry, made in zip(logged, again.rounds, strict=True):
        assert entry["rap/selected"] == len(made.rows)
        assert entry["rap/share"] == pytest.approx(len(made.rows) / 32)
        assert all(entry[name] == made.metrics[name] for name in METRICS)
    assert logged[1]["rap/stayed"] == pytest.approx(len(set(first.rows) & set(second.rows)) / len(second.rows))
    # The trainer's own numbers are all there too, one entry a step.
    assert [entry["step"] for entry in trainer.state.log_history if "reward" in entry] == [1, 2, 3, 4]
    check_event_files(Path(trainer.args.output_dir), logged)


def check_event_files(folder: Path, logged: list[dict[str, float]]) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (file,) = folder.rglob("events.out.tfevents.*")
    events = EventAccumulator(str(file.parent))
    events.Reload()
    for name in METRICS:
        found = [(event.step, event.value) for event in events.Scalars(f"train/{name}")]
        assert found == [(entry["step"], pytest.approx(entry[name])) for entry in logged]


def test_it_selects_every_few_steps_too_and_goes_on_after_a_crash_with_the_rows_of_then(
    digits: Callable[..., Any], model: Any, processor: Any, make_trainer: Callable[..., Any], tmp_path: Path
) -> None:
    seen = Seen()
    again = begin(digits, model, processor, tmp_path / "run", every_steps=2, size=16)
    saving = {"save_strategy": "steps", "save_steps": 3, "save_only_model": False, "num_train_epochs": 1}
    trainer = make_trainer(again.dataset, "RLOO", seen, **saving)
    again.attach(trainer)
    trainer.train()
    assert [made.step for made in again.rounds] == [0, 2]
    # One generation batch was fetched ahead when the third step began.
    assert set(seen.steps[3]) <= set(again.rounds[1].rows)
    assert set(seen.between(0, 3)) <= set(again.rounds[0].rows)
    after = again.rounds[1].rows

    later = begin(digits, model, processor, tmp_path / "run", every_steps=2, size=16)
    trainer = make_trainer(later.dataset, "RLOO", Seen(), **saving)
    later.attach(trainer)
    trainer.train(resume_from_checkpoint=str(Path(trainer.args.output_dir) / "checkpoint-3"))
    assert later.rows == repeat_rows(after, 16, 2)
    assert len(later.rounds) == 1  # nothing was due at steps 3 and 4


def test_an_epoch_that_was_interrupted_goes_on_and_the_next_one_is_selected_for(
    digits: Callable[..., Any], model: Any, processor: Any, make_trainer: Callable[..., Any], tmp_path: Path
) -> None:
    saving = {"save_strategy": "steps", "save_steps": 1, "num_train_epochs": 2}
    again = begin(digits, model, processor, tmp_path / "run", n=12, lambda_c=-1, size=8)
    trainer = make_trainer(again.dataset, **saving)
    again.attach(trainer)
    trainer.train()
    assert [made.step for made in again.rounds] == [0, 2]

    for checkpoint, selected in ((1, [0, 2]), (2, [0, 2])):
        resumed = begin(digits, model, processor, tmp_path / "run", n=12, lambda_c=-1, size=8)
        trainer = make_trainer(resumed.dataset, **saving)
        resumed.attach(trainer)
        trainer.train(resume_from_checkpoint=str(Path(trainer.args.output_dir) / f"checkpoint-{checkpoint}"))
        assert [made.step for made in resumed.rounds] == selected
        assert trainer.state.global_step == 4


def test_an_empty_selection_ends_no_training_and_is_logged(
    digits: Callable[..., Any], model: Any, processor: Any, make_trainer: Callable[..., Any], tmp_path: Path
) -> None:
    import torch

    seen = Seen()
    again = begin(digits, model, processor, tmp_path / "run", n=12)
    trainer = make_trainer(again.dataset, reward=seen)
    again.attach(trainer)
    before = list(again.rows)
    end = processor.tokenizer.eos_token_id
    # From here on it ends every response at once, so nothing is ever solved.
    model.lm_head.register_forward_hook(
        lambda module, inputs, logits: logits + 1e4 * (torch.arange(logits.shape[-1]) == end)
    )
    trainer.train()
    assert again.rounds[1].rows == []
    assert again.rows == before
    assert seen.between(2, 4) == before
    assert [entry["rap/selected"] for entry in history(trainer)] == [float(len(again.rounds[0].rows)), 0.0]
    assert "rap/informative" not in history(trainer)[1]


def test_the_first_selection_must_not_be_empty(
    digits: Callable[..., Any], model: Any, processor: Any, tmp_path: Path
) -> None:
    with pytest.raises(EmptySelection, match="lower lambda_c"):
        begin(digits, model, processor, tmp_path / "run", n=8, lambda_c=1.0)


def test_a_finished_selection_is_logged_when_training_begins(
    digits: Callable[..., Any], model_dir: str, make_trainer: Callable[..., Any], tmp_path: Path
) -> None:
    rows = digits(8)
    chosen = select_dataset(rows, model_dir, out=tmp_path / "run", selector="random", keep=0.5, curtail=False, **QUICK)
    trainer = make_trainer(chosen, max_steps=1)
    log_selection(trainer, tmp_path / "run")
    trainer.train()
    (entry,) = history(trainer)
    assert (entry["step"], entry["rap/selected"], entry["rap/share"]) == (0, 4.0, 0.5)
    assert entry["rap/selection_rollouts"] == 2 * 4 * 8
    assert set(METRICS) <= set(entry)


def test_a_trainer_that_would_not_read_the_new_rows_is_refused(
    digits: Callable[..., Any], model: Any, processor: Any, make_trainer: Callable[..., Any], tmp_path: Path
) -> None:
    again = begin(digits, model, processor, tmp_path / "run", n=12)

    def refused(match: str, rows: Any, **arguments: Any) -> None:
        trainer = make_trainer(again.dataset if rows is None else rows)
        for name, value in arguments.items():
            setattr(trainer.args, name, value)
        with pytest.raises(RapError, match=match):
            again.attach(trainer)

    refused("train_dataset=reselection.dataset", digits(4))
    refused("remove_unused_columns=True", None, remove_unused_columns=True)
    refused("dataloader_persistent_workers", None, dataloader_num_workers=1, dataloader_persistent_workers=True)
    refused("8 rows do not fill one generation batch of 16 prompts", None, generation_batch_size=64)
    with pytest.raises(RapError, match="size=-8"):
        begin(digits, model, processor, tmp_path / "run", size=-8)
    with pytest.raises(RapError, match="every_steps=0"):
        begin(digits, model, processor, tmp_path / "run", every_steps=0)


def test_data_loader_workers_read_the_new_rows_of_the_next_epoch(
    digits: Callable[..., Any], model: Any, processor: Any, make_trainer: Callable[..., Any], tmp_path: Path
) -> None:
    seen = Seen()
    again = begin(digits, model, processor, tmp_path / "run", n=12, lambda_c=-1)
    trainer = make_trainer(again.dataset, reward=seen, dataloader_num_workers=1)
    again.attach(trainer)
    again.select = lambda model, step, processing_class: (put(again, [1, 2, 3]), again.rounds[0])[1]  # type: ignore[method-assign]
    trainer.train()
    assert set(seen.between(2, 4)) == {1, 2, 3}


def put(again: Reselection, rows: list[int]) -> None:
    again.rows[:] = repeat_rows(rows, len(again.rows), 0)
