"""`--data_filter`: the selection between the start of the engines and the start of the trainer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq

from rap_plugin.config import RunConfig
from rap_plugin.engines.weights import find_model, identify
from rap_plugin.errors import RapError
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.hosts.batches import repeat_rows, require_pool
from rap_plugin.hosts.pool import open_run, save_pool
from rap_plugin.openrlhf_hooks import contract, dataset
from rap_plugin.openrlhf_hooks.batches import fitting_rows, planned
from rap_plugin.openrlhf_hooks.cluster import require_visible
from rap_plugin.openrlhf_hooks.engine import RolloutEngine, RolloutSettings
from rap_plugin.openrlhf_hooks.flags import read_config
from rap_plugin.openrlhf_hooks.prompting import OpenRLHFPrompts
from rap_plugin.openrlhf_hooks.resume import note_rows, require_same_rows
from rap_plugin.pipeline.metrics import selection_metrics
from rap_plugin.pipeline.select import RunResult, select_with
from rap_plugin.run_dir import files
from rap_plugin.samples.opening import open_pool
from rap_plugin.selectors.base import Selection

PAPERS_SHARE = 5159 / 54931
"""What RAP selected of MM-Eureka (arXiv 2506.04755, Qwen2.5-VL-7B)."""

OWN_REWARD = "engine"
"""The grader that takes the reward with which the run's engines answer."""

Start = Callable[[], list[Any]]


class Filter:
    """One filtered launch. Opening it checks the arguments and the dataset, before Ray starts; `run` does the rest."""

    def __init__(self, args: SimpleNamespace, given: Mapping[str, Any]) -> None:
        contract.require_arguments(args)
        self.args, self.given = args, given
        self.metrics: dict[str, float] = {}
        """Of the selection, once it is made."""
        self.numbers: list[int] = []
        """The rows of the pool to train on, once they are known."""
        self.run_dir = Path(given["run_dir"] or Path(args.ckpt.output_dir) / "rap").resolve()
        self.rows_dir = Path(given["rows_dir"] or self.run_dir).resolve()
        self.counts = fitting_rows(args)
        # Checked with what is known now; the prompts' hash needs the processor, and comes later.
        options = read_config(given["data_filter"], given, self._defaults()).selection
        self._check()
        self.rows = dataset.read_dataset(args)
        require_pool(self.counts, len(self.rows), options.size_by)
        _check_images(self.rows, args.data.image_key)

    def run(self, start: Start) -> list[Any]:
        """Selects, points the arguments at the chosen rows, and returns the engines that `start` makes.

        With `--rap.select_only` the program ends here. Raises RapError.
        """
        from rap_plugin.pipeline.summary import print_summary

        open_run(self.run_dir)
        if not self.given["select_only"]:
            self.rows_dir.mkdir(parents=True, exist_ok=True)
            require_visible(self.rows_dir, "--rap.rows_dir" if self.given["rows_dir"] else "--rap.run_dir")
        folder = save_pool(self.rows, self.run_dir)
        rows = dataset.load_rows(folder)
        prompts = OpenRLHFPrompts.of(self.args, _processor(self.args))
        config = self._config(prompts, folder, rows)
        engine = self._engine(prompts, config, rows, start)
        with closing(engine):
            result = self._select(engine, config)
        print_summary(result)
        self._point_at_selection(result.selection, folder)
        if self.given["select_only"]:
            print("rap-plugin: selected; --rap.select_only ends the program before training", flush=True)
            raise SystemExit(0)
        self.metrics = selection_metrics(result.selection, self.run_dir)
        return engine.actors() or start()

    def plan(self) -> list[str]:
        """What this command does, in lines of numbers: scoring, the selection, and the training on it and on all rows.

        The number of selected rows is that of the run directory where it holds a selection, else the budget's, else RAP's
        share in its paper.
        """
        config = read_config(self.given["data_filter"], self.given, self._defaults())
        options, rows, arm = config.selection, len(self.rows), config.sampling.rollouts
        scoring = f"scoring: {rows:,} rows x 2 x {arm} rollouts = {2 * arm * rows:,} responses, less what {self.run_dir} holds"
        if self.given["follow"]:
            length = self.counts.below(rows) or self.counts.above(rows)
            return [scoring, f"following {rows:,} rows: {planned(self.args, length)}"]
        selected, origin = _expected(self.run_dir, options.keep, rows)
        size = self.counts.below(selected) if options.size_by == "cut" else self.counts.above(selected)
        return [
            scoring,
            f"selection: {selected:,} rows ({origin}), brought to {size:,} ({self.counts})",
            f"training on them: {planned(self.args, size)}",
            f"training on every row: {planned(self.args, rows)}",
        ]

    # -- before anything starts -----------------------------------------------------------------------------------

    def _check(self) -> None:
        args, data = self.args, self.args.data
        if not args.vllm.num_engines:
            raise RapError("--data_filter samples with the run's vLLM engines; set --vllm.num_engines to at least 1")
        if not data.max_images_per_prompt:
            raise RapError(
                "--data.max_images_per_prompt is 0: a text-only run, and the filter compares answers with and without "
                "the images; set it to the largest number of images of a row"
            )
        if data.label_key is None:
            raise RapError("--data_filter needs the gold answers; name their column with --data.label_key")
        if not args.reward.remote_url and self.given["grader"] is None:
            raise RapError(
                "--data_filter counts right answers with --reward.remote_url or --train.agent_func_path; for a reward "
                "model, choose a grader for the selection: --rap.grader math, or file.py:function"
            )
        for sign in ",@":
            if sign in str(self.rows_dir):
                flag = "rows_dir" if self.given["rows_dir"] else "run_dir"
                raise RapError(
                    f"--rap.{flag} {self.rows_dir}: OpenRLHF splits dataset paths at {sign!r}; choose another"
                )
        files.require_lasting(self.run_dir)

    def _defaults(self) -> dict[str, Any]:
        rollout, max_len = self.args.rollout, self.args.data.max_len
        return {
            "model.id": self.args.actor.model_name_or_path,
            "model.engine": "openrlhf",
            "model.dtype": "bfloat16",  # what create_vllm_engines asks of vLLM
            "sampling.temperature": rollout.temperature,
            "sampling.top_p": rollout.top_p,
            "sampling.max_new_tokens": rollout.max_new_tokens or max_len,
            "sampling.max_prompt_tokens": max(1, max_len - (rollout.max_new_tokens or 1)),
            "sampling.seed": self.args.train.seed,
            "grading.grader": OWN_REWARD,
            "selection.size_multiple": self.counts.multiple,
            "selection.size_minimum": self.counts.minimum,
        }

    # -- while the engines are up ---------------------------------------------------------------------------------

    def _config(self, prompts: OpenRLHFPrompts, folder: Path, rows: Any) -> RunConfig:
        data = self.args.data
        about = {
            "pool.path": str(folder),
            "pool.format": "chat",
            "pool.question": data.input_key,
            "pool.answer": data.label_key,
            "pool.images": data.image_key,
            "pool.allow_urls": True,  # OpenRLHF fetches them itself
            "pool.image_root": str(Path.cwd()) if _has_relative_paths(rows, data.image_key) else None,
            "pool.own_instruction": "keep",
            "prompt.instruction": "",
            "prompt.host_recipe": prompts.hash(self.args.train.agent_func_path),
        }
        return read_config(self.given["data_filter"], self.given, {**self._defaults(), **about})

    def _engine(self, prompts: OpenRLHFPrompts, config: RunConfig, rows: Any, start: Start) -> RolloutEngine:
        model = self.args.actor.model_name_or_path
        settings = RolloutSettings(
            max_len=self.args.data.max_len,
            max_new_tokens=self._max_new_tokens(config),
            sleeps=bool(self.args.vllm.enable_sleep),
            agent=self.args.train.agent_func_path is not None,
            answer_within_s=config.execution.answer_within_s,
        )
        engine = RolloutEngine(
            identity=identify(model, find_model(model)),
            prompts=prompts,
            settings=settings,
            rows=rows,
            run=self.run_dir,
            count=self.args.vllm.num_engines,
            make_actors=lambda measure: start_actors(start, measure=measure),
        )
        engine.measure = engine.measure and config.measures_attention
        return engine

    def _max_new_tokens(self, config: RunConfig) -> int | None:
        if self.args.rollout.max_new_tokens is None and config.sampling.max_new_tokens == self.args.data.max_len:
            return None
        return config.sampling.max_new_tokens

    def _select(self, engine: RolloutEngine, config: RunConfig) -> RunResult:
        if config.grading.grader == OWN_REWARD:
            _same_reward(self.run_dir, self.args.reward.remote_url)
        print(f"rap-plugin: selecting with {config.selection.selector} from {config.pool.path}", flush=True)
        return select_with(engine, open_pool(config.pool), config, self.run_dir, extend=self.given["extend"])

    def _point_at_selection(self, selection: Selection, pool: Path) -> None:
        args, data = self.args, self.args.data
        if self.given["follow"]:
            # Every row that can be read may come back.
            numbers = sorted(selection.table.rows.tolist())
        else:
            numbers = self._fitting(chosen_rows(selection, repeats=data.prompt_probs is not None))
        self.numbers = numbers
        ids = _ids(selection, numbers)
        require_same_rows(args, ids)
        folder = dataset.save_train_rows(pool, numbers, self.rows_dir)
        if not self.given["select_only"]:
            note_rows(args, ids)
        before = data.prompt_dataset
        data.prompt_dataset, data.prompt_probs, data.prompt_split = str(folder), None, "train"
        what = "following" if self.given["follow"] else "training on"
        print(f"rap-plugin: {what} {len(numbers)} rows of {before}, in {folder}", flush=True)
        print(f"rap-plugin: {planned(args, len(numbers))}", flush=True)
        if args.algo.dynamic_filtering_enable and self.counts.multiple > 1:
            print(
                "rap-plugin: --algo.dynamic_filtering_enable takes groups out of an episode's last batch, so its ranks may "
                "still get different work and wait for each other",
                file=sys.stderr,
                flush=True,
            )

    def _fitting(self, numbers: list[int]) -> list[int]:
        """The rows, some of them more often where their number does not fit: `repeat`, or the copies of a blend."""
        size = self.counts.above(len(numbers))
        if size == len(numbers):
            return numbers
        print(f"rap-plugin: {len(numbers)} rows are repeated to {size}, {self.counts}", flush=True)
        return repeat_rows(numbers, size, self.args.train.seed)


def _expected(run: Path, keep: float | None, rows: int) -> tuple[int, str]:
    """How many rows will be selected, and where that number is from."""
    selected = run / files.SELECTED
    if selected.is_file():
        return pq.read_metadata(selected).num_rows, f"as in {run}"
    if keep is not None:
        return max(1, round(keep * rows)), "--rap.keep"
    return max(1, round(PAPERS_SHARE * rows)), f"{PAPERS_SHARE:.2%} as in the paper; yours may differ"


def chosen_rows(selection: Selection, *, repeats: bool) -> list[int]:
    """Row numbers of the selection, ascending; with `repeats`, of every copy that blending has made of them.

    Blending with probabilities repeats rows of the smaller datasets. A repeated problem is sampled once (the copies
    are in the quarantine as duplicates); the copies of a chosen one are trained on as the blend has them.
    """
    chosen = selection.decision.chosen
    rows: list[int] = selection.table.rows[chosen].tolist()
    if repeats:
        ids = set(selection.table.ids[chosen].tolist())
        rows += [item.row for item in selection.quarantine if item.status == "duplicate" and item.id in ids]
    return sorted(rows)


def _ids(selection: Selection, numbers: Sequence[int]) -> list[str]:
    """The sample ids of rows of the pool, copies of a problem with the id of the first."""
    known = dict(zip(selection.table.rows.tolist(), selection.table.ids.tolist(), strict=True))
    known.update((item.row, item.id) for item in selection.quarantine if item.status == "duplicate")
    return [known[number] for number in numbers]


def start_actors(start: Start, *, measure: bool) -> list[Any]:
    """Runs `create_vllm_engines` with our actor class in the place of OpenRLHF's."""
    import importlib

    import ray

    from rap_plugin.openrlhf_hooks.actors import MeasuringRolloutActor, RapRolloutActor

    module: Any = importlib.import_module(contract.ENGINES)
    before = module.RolloutRayActor
    module.RolloutRayActor = ray.remote(MeasuringRolloutActor if measure else RapRolloutActor)
    try:
        return start()
    finally:
        module.RolloutRayActor = before


def _processor(args: SimpleNamespace) -> Any:
    from openrlhf.utils.utils import get_tokenizer

    model = args.actor.model_name_or_path
    try:
        processor = get_tokenizer(model, None, "left", None, use_fast=not args.data.disable_fast_tokenizer)
    except Exception as error:
        raise RapError(f"--actor.model_name_or_path {model}: no processor ({type(error).__name__}: {error})") from error
    if not hasattr(processor, "image_processor"):
        raise RapError(f"{model}: a text-only model; --data_filter compares answers with and without the images")
    if args.data.apply_chat_template and not getattr(processor, "chat_template", None):
        raise RapError(f"{model}: has no chat template; leave out --data.apply_chat_template or use an instruct model")
    return processor


def _check_images(rows: Any, image_key: str) -> None:
    """Whether there is an image column, of a kind that OpenRLHF itself can load."""
    if image_key not in rows.column_names:
        raise RapError(
            f"--data.image_key: no column {image_key!r} in the dataset, so no images; columns: {', '.join(rows.column_names)}"
        )
    for row in rows.select(range(min(8, len(rows)))):
        value = row[image_key]
        for reference in value if isinstance(value, list) else [value]:
            if isinstance(reference, dict):
                raise RapError(
                    f"column {image_key!r}: images as {{{', '.join(reference)}}}, which OpenRLHF does not load; "
                    "cast the column to datasets.Image (examples/openrlhf/prepare_data.py writes such files)"
                )


def _has_relative_paths(rows: Any, image_key: str) -> bool:
    for row in rows.select(range(min(8, len(rows)))):
        value = row[image_key]
        for reference in value if isinstance(value, list) else [value]:
            if isinstance(reference, str) and len(reference) < 4096 and "://" not in reference:
                return not reference.startswith(("/", "data:"))
    return False


def _same_reward(run: Path, url: Any) -> None:
    """Refuses to mix the rewards of two versions of a reward file: stored responses keep the reward they came with."""
    first = (url if isinstance(url, list) else [url])[0]
    if not str(first).endswith(".py"):
        return
    import hashlib

    try:
        mark = hashlib.sha256(Path(first).read_bytes()).hexdigest()
    except OSError as error:
        raise RapError(f"--reward.remote_url {first}: {error.strerror}; give a readable file") from None
    with closing(EvidenceStore(run / files.EVIDENCE)) as store:
        known = store.get_meta("reward_file")
        if known is None:
            store.set_meta("reward_file", mark)
        elif known != mark:
            raise RapError(
                f"{run}: its rollouts carry rewards of another version of {first}; choose another --rap.run_dir, or "
                f"grade the stored responses again with --rap.grader {first}"
            )
