"""Region rows over a whole pool: every answer with its trace in the run's evidence, resumable, exactly once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rap_plugin.config import RunConfig
from rap_plugin.engines.base import Engine, Starts
from rap_plugin.errors import Command, Option, RapError, one_line
from rap_plugin.evidence.records import LedgerEntry, PoolSample
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.traces import read_traces
from rap_plugin.executors.partners import partners
from rap_plugin.grading import Grader
from rap_plugin.pipeline.grading import grade_pending, make_grader
from rap_plugin.pipeline.select import ingest_pool, opened_run, require_images
from rap_plugin.plugins import get_plugins, load_plugin_files
from rap_plugin.progress import step
from rap_plugin.rollout import Response, rollout_seed
from rap_plugin.run_dir.about import describe
from rap_plugin.run_dir.pool import place_of
from rap_plugin.samples.images import open_image
from rap_plugin.samples.ingest import load_samples
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.pool import Pool
from rap_plugin.vlm_r3 import settings
from rap_plugin.vlm_r3.coordinates import Frame
from rap_plugin.vlm_r3.driver import run_rows
from rap_plugin.vlm_r3.interventions import shower
from rap_plugin.vlm_r3.loop import RegionRow
from rap_plugin.vlm_r3.settings import Crops
from rap_plugin.vlm_r3.trace import Trace

if TYPE_CHECKING:
    from PIL.Image import Image

WINDOW = 32
"""Samples whose images are read in one go."""

STORED_TOGETHER, STORED_SECONDS = 32, 5.0
"""Rows that are finished wait for others this long, so that a fast engine does not wait for the disk."""

HOPELESS = 8
"""Rows that the engine fails on before it answers any: fewer can be the rows' own fault."""


@dataclass(frozen=True)
class RegionRun:
    """What a call of `run_pool` did."""

    run: Path
    sampled: int
    """Rows that the engine was asked for now."""
    seconds: float


def run_pool(
    config: RunConfig,
    out: str | Path,
    *,
    crops: Sequence[Crops] = ("own",),
    extend: bool = False,
    quiet: bool = False,
) -> RegionRun:
    """Answers every sample of a pool, once for each kind of `crops`; what the run holds already is not asked again.

    Raises RapError for everything that a user can mend; finished rows are stored by then.
    """
    started = time.perf_counter()
    load_plugin_files(config.plugins)
    registry = get_plugins().registry()
    if not config.model.id:
        raise RapError("no model given; add ", Option("model.id"), " with a hub id or a folder")
    pool = open_pool(config.pool)
    run = Path(out)
    with closing(registry.get("engines", config.model.engine)(config.model)) as engine:
        frame = settings.make_frame(config, engine)
        with closing(make_grader(config, registry)) as grader, opened_run(run, config, pool, extend) as store:
            ingest_pool(store, pool, config, grader, registry, extend=extend, quiet=quiet)
            describe(run, config, engine.identity, place_of(run, pool, config.pool.image_root))
            require_images(store, pool)
            sampled = 0
            for kind in crops:
                arm = RegionArm(store, config, engine, pool, registry.things["formats"], frame, kind)
                sampled += arm.run(grader, quiet=quiet)
    return RegionRun(run, sampled, time.perf_counter() - started)


class RegionArm:
    """All rows of a run that are shown the same kind of crops."""

    def __init__(
        self,
        store: EvidenceStore,
        config: RunConfig,
        engine: Engine,
        pool: Pool,
        formats: Any,
        frame: Frame,
        crops: Crops,
    ) -> None:
        self._store, self._config, self._engine, self._pool = store, config, engine, pool
        self._formats, self._frame, self._crops = formats, frame, crops
        self.probe = store.probe(settings.region_key(config, engine, frame, crops))
        self._own = store.find_probe(settings.region_key(config, engine, frame, "own"))
        self._samples = store.samples()
        self._done: list[tuple[int, int, Trace]] = []
        self._since = self._began = time.perf_counter()
        self._answered = self._failed = 0

    def run(self, grader: Grader, *, quiet: bool = False) -> int:
        """Samples and grades what is missing; returns how many rows the engine was asked for."""
        wanted = self._missing()
        copied = self._copies(wanted) if self._crops != "own" else {}
        self._keep([(sample, rollout, trace) for (sample, rollout), trace in copied.items()])
        rest = [(sample, rollout) for sample, rollout in wanted if (sample.sample, rollout) not in copied]
        name = "look" if self._crops == "own" else f"look ({self._crops} crops)"
        if rest:
            if isinstance(self._engine, Starts):
                self._engine.start()
            with step(name, len(rest), "rows", quiet=quiet) as advance:

                def done(row: RegionRow) -> None:
                    self._finish(row)
                    advance(1)

                try:
                    run_rows(self._engine, self._rows(rest), settings.make_sampling(self._config), done)
                finally:
                    self._flush()
        grade_pending(self._store, grader, [self.probe])
        return len(rest)

    def _missing(self) -> list[tuple[PoolSample, int]]:
        final = self._store.finished(self.probe, self._config.sampling.attempts)
        return [
            (sample, rollout)
            for sample in self._samples
            if sample.images
            for rollout in range(self._config.r3.rollouts)
            if not final.get(sample.sample, 0) >> rollout & 1
        ]

    def _copies(self, wanted: Sequence[tuple[PoolSample, int]]) -> dict[tuple[int, int], Trace]:
        """Rows that were shown nothing: whatever crops are replaced by, they do the same."""
        if self._own is None:
            return {}
        asked = {(sample.sample, rollout) for sample, rollout in wanted}
        found = (
            (sample, rollout, Trace.from_json(text)) for sample, rollout, text in read_traces(self._store, self._own)
        )
        return {
            (sample, rollout): trace
            for sample, rollout, trace in found
            if (sample, rollout) in asked and not trace.crops and not trace.error
        }

    def _rows(self, wanted: Sequence[tuple[PoolSample, int]]) -> Iterator[RegionRow]:
        options = settings.make_options(self._config)
        other = partners([sample.id for sample in self._samples if sample.images]) if self._crops == "swapped" else {}
        by_id = {sample.id: sample for sample in self._samples}
        for start in range(0, len(wanted), WINDOW):
            window = wanted[start : start + WINDOW]
            numbers = sorted({sample.row for sample, _ in window})
            loaded = {one.row: one for one in load_samples(self._pool, self._config.pool, numbers, self._formats)}
            for known, rollout in window:
                sample = loaded[known.row]
                if sample.id != known.id:
                    raise RapError(
                        f"{self._pool.path}: row {known.row} is not what it was when the pool was read; run ",
                        Command("rap r3 run"),
                        " again",
                    )
                prompt = settings.region_prompt(sample, self._config, self._frame)
                partner = partial(self._image_of, by_id[other[known.id]]) if other else None
                yield RegionRow.of(
                    prompt,
                    self._frame,
                    options,
                    seed=rollout_seed(self._config.sampling.seed, known.id, "image", rollout),
                    key=f"{known.sample}/{rollout}",
                    show=shower(self._crops, partner),
                    instead="" if self._crops == "own" else self._crops,
                )

    def _image_of(self, sample: PoolSample) -> Image:
        (loaded,) = load_samples(self._pool, self._config.pool, [sample.row], self._formats)
        return open_image(loaded.images[0])

    def _finish(self, row: RegionRow) -> None:
        sample, rollout = map(int, row.key.split("/"))
        trace = row.trace()
        self._done.append((sample, rollout, trace))
        self._answered += trace.ended != "engine_error"
        self._failed += trace.ended == "engine_error"
        if not self._answered and self._failed >= HOPELESS:
            raise RapError(
                f"the engine failed on all of the first {self._failed} rows, last with: {one_line(trace.error)}; mend that, "
                "then ",
                Command("rap r3 run"),
                " goes on",
            )
        if len(self._done) >= STORED_TOGETHER or time.perf_counter() - self._since > STORED_SECONDS:
            self._flush()

    def _flush(self) -> None:
        done, self._done = self._done, []
        self._since = time.perf_counter()
        self._keep(done, self._since - self._began)
        self._began = self._since

    def _keep(self, done: Sequence[tuple[int, int, Trace]], seconds: float = 0.0) -> None:
        if not done:
            return
        batch = [(sample, [response_of(trace, rollout)]) for sample, rollout, trace in done]
        traces = {(sample, rollout): trace.to_json() for sample, rollout, trace in done}
        tokens = sum(trace.tokens for _, _, trace in done)
        stage = "look" if self._crops == "own" else f"look_{self._crops}"
        cost = LedgerEntry(stage, seconds, len(done), 0, tokens)
        self._store.add_rollouts(self.probe, batch, ledger=cost, traces=traces)


def response_of(trace: Trace, rollout: int = 0) -> Response:
    """A trace as the response that graders and reports know."""
    status: Any = trace.ended if trace.ended in ("engine_error", "overlong") else "ok"
    ids = tuple(token for part in trace.token_ids for token in part)
    finish: Any = "stop" if trace.ended in ("answer", "end") else "length"
    return Response(rollout, trace.text if status == "ok" else "", ids, finish, status=status, error=trace.error)
