"""A finished run from Python: its scores, verdicts, samples, and other decisions over its evidence, none of them written."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from rap_plugin.config import RunConfig, load_config, option_names
from rap_plugin.errors import RapError
from rap_plugin.evidence.records import RolloutRecord
from rap_plugin.pipeline.select import RunResult, select_run
from rap_plugin.pipeline.selection import load_selection
from rap_plugin.plugins import get_plugins
from rap_plugin.rollout import Arm
from rap_plugin.run_dir import arrow, files
from rap_plugin.run_dir.about import read_run
from rap_plugin.run_dir.pool import open_pool_of
from rap_plugin.run_dir.tables import score_columns
from rap_plugin.samples.ingest import load_samples
from rap_plugin.samples.pool import Pool
from rap_plugin.selectors.base import Selection

if TYPE_CHECKING:
    import datasets

OPTIONS = tuple(name if name == "plugins" else f"{name}." for name in RunConfig.model_fields if name != "r3")
"""Options that `select` takes: all but those of `rap r3`."""

DECIDABLE = ("selection.", "ace.")
"""Options that `Run.decide` takes: those that need neither an engine nor a grader."""


@dataclass(frozen=True)
class RunSample:
    """One sample of a run with everything that is known of it."""

    id: str
    row: int
    """Its row in the pool."""
    question: str
    gold: str
    images: tuple[bytes, ...]
    """Encoded, as the pool has them; `pictures` decodes them."""
    verdict: str
    reason: str
    scores: Mapping[str, float]
    rollouts: Mapping[Arm, list[RolloutRecord]] = field(repr=False)
    """By arm, in order: text, grade, what was read, log psi of the run's ACE variant."""

    @property
    def pictures(self) -> list[Any]:
        """The images as `PIL.Image`."""
        from rap_plugin.samples.images import open_image

        return [open_image(data) for data in self.images]

    def __repr__(self) -> str:
        return f"RunSample({self.id}, {self.verdict}: {self.reason})"


class Run:
    """A run directory, opened to read. Nothing that is done here changes it.

    run = rap_plugin.open_run("RUN")
    run.verdicts                        # {"selected": 102, ..}
    run.scores.to_pandas()              # one row per sample
    run.decide(lambda_c=0.3).verdicts   # another selection over the same evidence
    run.selected()                      # the chosen rows as a datasets.Dataset
    """

    def __init__(self, path: Path, selection: Selection, pool: str | None = None, *, written: bool = True) -> None:
        self.path = path
        self.selection = selection
        self._pool_place = pool
        self._written = written

    def __fspath__(self) -> str:
        """A run stands for its folder: `rap_plugin.export(run, "trl")`, `rap_plugin.compare([run, other])`.

        Raises RapError for what `decide` returned: the folder holds another decision.
        """
        if not self._written:
            raise RapError(
                f"{self.path}: this decision is not written; write it with rap_plugin.decide_run(run.path, run.config)"
            )
        return str(self.path)

    @property
    def config(self) -> RunConfig:
        """The configuration behind the verdicts."""
        return self.selection.config

    @property
    def verdicts(self) -> dict[str, int]:
        """Samples per verdict."""
        return self.selection.decision.counts()

    @property
    def thresholds(self) -> dict[str, float]:
        """The thresholds in force, also those that were found rather than given."""
        return dict(self.selection.decision.thresholds)

    @property
    def notes(self) -> list[str]:
        """What a reader should know before trusting the verdicts."""
        return list(self.selection.decision.notes)

    @cached_property
    def scores(self) -> pa.Table:
        """One row per usable sample, in pool order, as `scores.parquet` has them.

        A `pyarrow.Table`, which has `.to_pandas()`; `to_polars` is beside it.
        """
        rows = {"rap_row": arrow.integers(self.selection.table.rows)}
        return pa.table({**rows, **score_columns(self.selection)})

    def to_pandas(self) -> Any:
        """`scores` as a `pandas.DataFrame`."""
        return self.scores.to_pandas()

    def to_polars(self) -> Any:
        """`scores` as a `polars.DataFrame`. Raises RapError where polars is not installed."""
        try:
            import polars
        except ImportError:
            raise RapError("to_polars needs polars; install it with: pip install polars") from None
        return polars.from_arrow(self.scores)

    def __len__(self) -> int:
        """How many usable samples."""
        return len(self.selection.table)

    @cached_property
    def pool(self) -> Pool:
        """The pool. Raises RapError where it is gone or another one now."""
        formats = get_plugins().registry().things["formats"]
        with files.open_store(self.path) as store:
            return open_pool_of(self.path, read_run(self.path), store, formats, self._pool_place)

    def selected(self) -> datasets.Dataset:
        """The chosen rows with their original columns and the `rap_*` columns, in pool order, in memory.

        Needs the extra `datasets`.
        """
        import datasets

        chosen = self.selection.decision.chosen
        table = self.pool.table(self.selection.table.rows[chosen].tolist())
        extra = self.scores.drop_columns(["rap_row"]).filter(arrow.booleans(chosen))
        for name in extra.column_names:
            if name in table.column_names:
                table = table.drop_columns([name])
            table = table.append_column(name, extra.column(name))
        return datasets.Dataset(table)

    def sample(self, identity: str) -> RunSample:
        """One sample by its id (`rap_id`), or by the beginning of it. Raises RapError where no one sample is meant."""
        table, selection = self.selection.table, self.selection
        found = [i for i, known in enumerate(table.ids.tolist()) if known.startswith(identity)] if identity else []
        if len(found) != 1:
            what = "no sample" if not found else f"{len(found)} samples"
            raise RapError(
                f"{self.path}: {what} with an id that begins with {identity!r}; run.scores['rap_id'] lists them"
            )
        i = found[0]
        formats = get_plugins().registry().things["formats"]
        sample = load_samples(self.pool, self.config.pool, [int(table.rows[i])], formats)[0]
        ace = self.config.ace
        with files.open_store(self.path) as store:
            psi = f"psi_{ace.reduction}_{ace.heads}_{ace.window}"
            records = [
                r for r in store.records(table.probes, [int(table.sample[i])], psi) if r.rollout < table.rollouts
            ]
        return RunSample(
            id=str(table.ids[i]),
            row=int(table.rows[i]),
            question=sample.question,
            gold=sample.gold,
            images=tuple(sample.images),
            verdict=str(selection.decision.verdicts[i]),
            reason=selection.decision.reasons[i],
            scores={name: float(values[i]) for name, values in selection.scores.items()},
            rollouts={arm: [record for record in records if record.arm == arm] for arm in table.arms},
        )

    def decide(self, **options: Any) -> Run:
        """Another selection over the same evidence: no engine, and nothing is written.

        `options` are those of `rap decide` without their section (`lambda_c=0.3`, `keep=0.1`, `selector="band"`,
        `window=20`); those not given stay as they are here. Raises RapError for a name that is no such option.
        """
        flags = {dotted_name(name, DECIDABLE): value for name, value in options.items()}
        unset = [f"{name}=null" for name, value in flags.items() if value is None]
        config = load_config(flags=flags, assignments=unset, base=self.config)
        selection, store = load_selection(self.path, config)
        store.close()
        same = self._written and selection.digest() == self.selection.digest()
        return Run(self.path, selection, self._pool_place, written=same)

    def __repr__(self) -> str:
        chosen = int(self.selection.decision.chosen.sum())
        counts = ", ".join(f"{word} {number:,}" for word, number in self.verdicts.items())
        return f"<Run {str(self.path)!r}: {chosen:,} of {len(self):,} samples selected; {counts}>"

    def _repr_html_(self) -> str:
        """For notebooks: the flow, the verdicts, three samples."""
        from rap_plugin.report.notebook import render

        try:
            pool = self.pool
        except RapError:
            pool = None
        with files.open_store(self.path) as store:
            return render(self.path.name, self.selection, pool, store)


def open_run(path: str | Path, *, pool: str | None = None) -> Run:
    """Opens a finished run to read. `pool` says where the pool is now, where it is neither at its old place nor beside
    the run; it is needed for `sample` and `selected` only. Raises RapError where there is no run or no evidence.

        run = rap_plugin.open_run("RUN")
        run.verdicts, run.scores, run.sample(run.scores["rap_id"][0].as_py()), run.decide(lambda_c=0.3)

    help(rap_plugin.Run) says what it has.
    """
    selection, store = load_selection(path)
    with closing(store):
        return Run(Path(path), selection, pool)


def select(pool: str | Path, *, model: str | Path, out: str | Path, **options: Any) -> Run:
    """`rap select` with keyword arguments instead of a configuration; returns the run, opened.

        run = rap_plugin.select("pool.parquet", model="Qwen/Qwen2.5-VL-7B-Instruct", out="run", keep=0.1)

    `options` are the command line's without their section (`rollouts=8`, `lambda_c=0.3`, `engine="vllm"`); where two
    sections have one name, with the section: `sampling__seed=1`. `extend=True` and `quiet=True` are as there.
    """
    words = {name: options.pop(name) for name in ("extend", "quiet") if name in options}
    flags = {"pool.path": str(pool), "model.id": str(model)}
    flags |= {dotted_name(name): value for name, value in options.items()}
    result: RunResult = select_run(load_config(flags=flags), out, **words)
    return Run(result.run, result.selection)


def dotted_name(keyword: str, sections: tuple[str, ...] = OPTIONS) -> str:
    """`lambda_c` or `selection__lambda_c` as `selection.lambda_c`. Raises RapError for what names no one option."""
    known = [name for name in option_names() if name.startswith(sections)]
    found = [name for name in known if keyword.replace("__", ".") in (name, name.rpartition(".")[2])]
    if len(found) == 1:
        return found[0]
    if found:
        raise RapError(
            f"{keyword} could be {' or '.join(name.replace('.', '__') for name in found)}; write one of them"
        )
    near = get_close_matches(keyword, [name.partition(".")[2] for name in known], n=1, cutoff=0.5)
    raise RapError(f"unknown option {keyword}{f'; did you mean {near[0]}?' if near else ''} (docs/configuration.md)")
