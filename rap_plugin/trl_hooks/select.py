"""From a `datasets.Dataset` to the rows that are worth training on, with a run directory beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rap_plugin.config import RunConfig
from rap_plugin.errors import RapError
from rap_plugin.hosts.batches import repeat_rows, require_pool
from rap_plugin.hosts.options import spelled
from rap_plugin.hosts.pool import open_run, save_pool
from rap_plugin.pipeline.select import RunResult, select_with
from rap_plugin.run_dir import tables
from rap_plugin.samples.opening import open_pool
from rap_plugin.selectors.base import Selection
from rap_plugin.selectors.row_count import row_counts
from rap_plugin.trl_hooks.options import read_options, spelling
from rap_plugin.trl_hooks.prompting import TRLPrompts, read_prompts

if TYPE_CHECKING:
    from rap_plugin.engines.hf.engine import HFEngine


def select_dataset(
    dataset: Any,
    model: Any,
    *,
    out: str | Path,
    processing_class: Any = None,
    args: Any = None,
    config: str | Path | None = None,
    scores: bool = False,
    extend: bool = False,
    quiet: bool = False,
    **options: Any,
) -> Any:
    """The rows of `dataset` worth training `model` on, with their own columns, features and order.

    `dataset` is a `datasets.Dataset` as GRPOTrainer takes it for a vision-language model: conversational `prompt`,
    `images` or `image`, a gold answer. `model` is a folder, a hub id, or a model in memory, which then needs its
    processor as `processing_class`. Both arms are sampled with the prompts that the trainer would build; `args` (a
    GRPOConfig or RLOOConfig) gives the sampling settings that `options` do not. `options` have the names of the
    configuration: selector, preset, rollouts, keep, lambda_c, ..; `config` is a YAML file of them.

    `out` becomes a run directory like any other, continued where it was left; with the same data, weights and
    settings nothing is sampled again. With `scores` the rows get the `rap_*` columns. Raises RapError, one line.
    """
    found = select_rows(
        read_prompts(dataset, getattr(args, "chat_template_kwargs", None)),
        model,
        Path(out),
        SelectionSettings(processing_class, args, config, extend, quiet, options),
    )
    if not quiet:
        from rap_plugin.pipeline.summary import print_summary

        print_summary(found.result)
    chosen = dataset.select(found.rows)
    return _with_scores(chosen, found.result.selection, found.rows) if scores else chosen


@dataclass(frozen=True)
class SelectionSettings:
    """What the caller says about a selection besides data, model and place."""

    processing_class: Any
    args: Any
    config: str | Path | None
    extend: bool
    quiet: bool
    options: Mapping[str, Any]


@dataclass(frozen=True)
class SelectedRows:
    """A selection and the numbers of its rows in the data set, ascending."""

    result: RunResult
    rows: list[int]


def select_rows(
    prompts: TRLPrompts, model: Any, run: Path, settings: SelectionSettings, pool: Path | None = None
) -> SelectedRows:
    """Samples what is missing and decides. `pool` is the saved data set, by default saved below `run`."""
    _one_process()
    options = read_options(settings.options, {}, settings.args, settings.config).selection
    counts = row_counts(options)
    with spelled(spelling()):
        require_pool(counts, len(prompts.dataset), options.size_by)
        open_run(run)
    folder = save_quietly(prompts.dataset, run) if pool is None else pool
    with open_engine(model, settings) as engine:
        engine.prepare_prompt = prompts.prepare
        about = {
            "pool.path": str(folder.absolute()),
            "pool.format": "chat",
            "pool.question": "prompt",
            "pool.images": prompts.image_column,
            "model.id": engine.identity.name,
            "pool.own_instruction": "keep",
            "prompt.instruction": "",
            "prompt.host_recipe": prompts.hash(engine.processor),
        }
        wanted = read_options(settings.options, about, settings.args, settings.config)
        prompts.run, prompts.rows = run, {}
        with spelled(spelling()):
            result = select_with(
                engine, open_pool(wanted.pool), wanted, run, extend=settings.extend, quiet=settings.quiet
            )
    chosen = result.selection.decision.chosen
    rows = sorted(result.selection.table.rows[chosen].tolist())
    size = counts.above(len(rows))
    if size != len(rows):  # left to the host by size_by="repeat"
        if not settings.quiet:
            print(f"rap: {len(rows)} rows are repeated to {size}, {counts}")
        rows = repeat_rows(rows, size, options.seed)
    return SelectedRows(result, rows)


@contextmanager
def open_engine(model: Any, settings: SelectionSettings, *, hashed: bool = True) -> Iterator[HFEngine]:
    """Engine `hf` over a folder, a hub id, or a model in memory, which is sampled in eval mode and left as it was.

    Where no evidence is kept, the weights of a model in memory need not be `hashed`.
    """
    from rap_plugin.engines import open_hf

    if isinstance(model, (str, Path)):
        from rap_plugin.engines.hf.engine import HFEngine

        configured: RunConfig = read_options(settings.options, {"model.id": str(model)}, settings.args, settings.config)
        engine = open_hf(configured.model)
        assert isinstance(engine, HFEngine)
        if settings.processing_class is not None:
            engine.processor = settings.processing_class
        with closing(engine):
            yield engine
        return
    from rap_plugin.engines.hf.engine import LoadedEngine

    network = _plain_network(model)
    if getattr(settings.processing_class, "image_processor", None) is None:
        raise RapError(
            "a model in memory needs its processor, image processor included: give processing_class="
            "AutoProcessor.from_pretrained(..)"
        )
    name = str(getattr(network.config, "_name_or_path", "") or type(network).__name__)
    configured = read_options(settings.options, {"model.id": name}, settings.args, settings.config)
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        batch_size = configured.model.batch_size
        with closing(LoadedEngine(network, settings.processing_class, name, batch_size, hashed=hashed)) as loaded:
            yield loaded
    finally:
        for module, training in modes.items():
            module.training = training


def save_quietly(dataset: Any, run: Path) -> Path:
    """`save_pool` without the progress bars of `datasets`."""
    with _silent():
        return save_pool(dataset, run)


def _plain_network(model: Any) -> Any:
    """The network itself: compiled and adapter wrappers taken off, adapters still at work."""
    model = getattr(model, "_orig_mod", model)
    base = getattr(model, "get_base_model", None)
    network = base() if base is not None else model
    if not hasattr(network, "config") or not hasattr(network, "generation_config"):
        raise RapError(
            f"the model is a {type(model).__name__}; give a folder, a hub id, or a Transformers vision-language model"
        )
    return network


def _with_scores(chosen: Any, selection: Selection, rows: list[int]) -> Any:
    import datasets
    import numpy as np
    import pyarrow as pa

    # Of the samples of the chosen rows, which may repeat.
    at = {row: i for i, row in enumerate(selection.table.rows.tolist())}
    order = np.array([at[row] for row in rows], dtype=np.int64)
    columns = pa.table(tables.score_columns(selection)).take(pa.array(order))
    kept = chosen.remove_columns([name for name in columns.column_names if name in chosen.column_names])
    with _silent():
        return datasets.concatenate_datasets([kept, datasets.Dataset(columns)], axis=1)


def _one_process() -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RapError(
            f"a selection runs in one process, and this launch has {os.environ['WORLD_SIZE']}: select before it in a "
            "script of its own, save the rows with save_to_disk, and load them here"
        )


@contextmanager
def _silent() -> Iterator[None]:
    import datasets

    before = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            datasets.enable_progress_bars()
