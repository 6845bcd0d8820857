"""A selection that follows the model: a data set of fixed length whose rows change while a trainer reads it.

Trainer builds its data loader once, from a data set whose length it then counts its steps with. So the data set that it
gets has one column of places, and `datasets`' own `with_transform` puts today's selected rows there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rap_plugin.errors import EmptySelection, RapError
from rap_plugin.hosts.batches import repeat_rows
from rap_plugin.pipeline.metrics import metrics_of_run, selection_metrics
from rap_plugin.pipeline.selection import load_selection
from rap_plugin.run_dir import files
from rap_plugin.selectors.base import CHOSEN, Selection
from rap_plugin.trl_hooks.options import prompts_per_batch
from rap_plugin.trl_hooks.prompting import read_prompts
from rap_plugin.trl_hooks.select import SelectionSettings, save_quietly, select_rows


class Reselection:
    """Selects before training and again while it goes on, each time with the weights of that moment.

        again = Reselection(dataset, model, out="run", keep=0.2, args=args, processing_class=processor)
        trainer = GRPOTrainer(model, reward_funcs=[accuracy_reward], args=args, train_dataset=again.dataset, ..)
        again.attach(trainer)

    `model`, `out`, `args`, `config` and `options` are those of `select_dataset`. A new selection is made at the start of
    every epoch but the first or, with `every_steps`, after every so many optimizer steps. `size` is the number of rows
    of an epoch, by default that of the first selection: of a larger selection as many are drawn, of a smaller one rows
    repeat. Every selection has a run directory of its own, `out/step-000000`, `out/step-000040`, .. Raises RapError.
    """

    def __init__(
        self,
        dataset: Any,
        model: Any,
        *,
        out: str | Path,
        every_steps: int | None = None,
        size: int | None = None,
        processing_class: Any = None,
        args: Any = None,
        config: str | Path | None = None,
        quiet: bool = False,
        **options: Any,
    ) -> None:
        if every_steps is not None and every_steps < 1:
            raise RapError(f"every_steps={every_steps}: give a number of steps, or leave it out to select every epoch")
        if size is not None and size < 1:
            raise RapError(f"size={size}: give the rows of an epoch, or leave it out for those of the first selection")
        import datasets

        self.out, self.every_steps = Path(out), every_steps
        self._settings = SelectionSettings(processing_class, args, config, extend=False, quiet=quiet, options=options)
        given = read_prompts(dataset)
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RapError(f"{self.out}: cannot be made ({error.strerror}); choose another out") from None
        self._pool = save_quietly(given.dataset, self.out)
        # Read from the saved rows, memory-mapped: what data loader workers are sent is then a path.
        self._prompts = read_prompts(
            datasets.load_from_disk(str(self._pool)), getattr(args, "chat_template_kwargs", None)
        )
        self.rounds: list[Round] = []
        self._places = Places(self._prompts.dataset, [])
        self.select(model, 0)
        self._places.rows = repeat_rows(self.rounds[-1].rows, size or len(self.rounds[-1].rows), 0)
        self.dataset = datasets.Dataset.from_dict({"place": list(range(len(self.rows)))}).with_transform(self._places)
        """For the trainer's `train_dataset`."""

    @property
    def rows(self) -> list[int]:
        """Numbers of the rows that the next epoch reads, one per place."""
        return self._places.rows

    def select(self, model: Any, step: int, processing_class: Any = None) -> Round:
        """Selects with the weights of `model` as they are, and puts the rows in place.

        An empty selection (the model solves all of the pool, say) leaves the rows as they are and says so in the round.
        """
        folder = self.out / f"step-{step:06d}"
        settings = self._settings
        if processing_class is not None:
            settings = replace(settings, processing_class=processing_class)
        try:
            found = select_rows(self._prompts, model, folder, settings, self._pool)
            selection, rows, seconds = found.result.selection, found.rows, found.result.seconds
        except EmptySelection:
            if not self.rounds:
                raise
            selection, rows, seconds = *_read_again(folder), None
        before = self.rounds[-1].rows if self.rounds else None
        self.rounds.append(Round(step, folder, rows, selection_metrics(selection, folder, seconds, before)))
        if rows and self._places.rows:
            self._places.rows = repeat_rows(rows, len(self._places.rows), step)
        return self.rounds[-1]

    def adopt(self, step: int) -> None:
        """Puts the rows back that an interrupted training read at `step`, where their run directory is still there."""
        steps = [int(found[1]) for path in self.out.iterdir() if (found := re.fullmatch(r"step-(\d+)", path.name))]
        for then in sorted((then for then in steps if then <= step), reverse=True):
            rows = _chosen_rows(self.out / f"step-{then:06d}")
            if rows:
                self._places.rows = repeat_rows(rows, len(self._places.rows), then)
                return

    def attach(self, trainer: Any) -> None:
        """Adds the callback to a trainer whose `train_dataset` is `dataset`. Raises RapError where it cannot work."""
        from rap_plugin.trl_hooks.callbacks import ReselectionCallback

        args = trainer.args
        if trainer.train_dataset is not self.dataset:
            raise RapError("the trainer reads another data set; give it train_dataset=reselection.dataset")
        if args.remove_unused_columns:
            raise RapError("remove_unused_columns=True would take the only column away; leave it at TRL's False")
        if args.world_size > 1 or trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
            raise RapError(
                "selecting while training runs in one process with whole weights; select once before, with select_dataset"
            )
        if args.dataloader_num_workers and (self.every_steps or args.dataloader_persistent_workers):
            raise RapError(
                "data loader workers would go on with the old rows; set dataloader_num_workers=0, or select every "
                "epoch without dataloader_persistent_workers"
            )
        prompts = prompts_per_batch(args)
        if len(self.dataset) < prompts:
            raise RapError(
                f"{len(self.dataset)} rows do not fill one generation batch of {prompts} prompts, so there would be no "
                f"training step; give size={prompts} or more, a larger keep, or smaller batches"
            )
        trainer.add_callback(ReselectionCallback(self, trainer))


@dataclass(frozen=True)
class Round:
    """One selection of a training."""

    step: int
    """Optimizer steps before it."""
    run: Path
    """Its run directory."""
    rows: list[int]
    """Numbers of the selected rows; empty where nothing was selected and training went on with the rows before."""
    metrics: dict[str, float]


class Places:
    """The transform of the data set that the trainer reads: place -> the row that stands there now."""

    def __init__(self, dataset: Any, rows: list[int]) -> None:
        self.dataset, self.rows = dataset, rows

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, Any]:
        found: dict[str, Any] = self.dataset[[self.rows[place] for place in batch["place"]]]
        return found


def log_selection(trainer: Any, run: str | Path) -> None:
    """Has a trainer log the metrics of a finished selection when its training begins: TensorBoard, W&B, .. get them."""
    from rap_plugin.trl_hooks.callbacks import SelectionLog

    trainer.add_callback(SelectionLog(trainer, metrics_of_run(Path(run))))


def _read_again(run: Path) -> tuple[Selection, list[int]]:
    selection, store = load_selection(run)
    store.close()
    return selection, sorted(selection.table.rows[selection.decision.chosen].tolist())


def _chosen_rows(run: Path) -> list[int]:
    path = run / files.SCORES
    if not path.is_file():
        return []
    table = pq.read_table(path, columns=["rap_row", "rap_verdict"])
    return sorted(row["rap_row"] for row in table.to_pylist() if row["rap_verdict"] in CHOSEN)
