"""The pipeline: ingest, probe, score, decide, write."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from rap_plugin.config import RunConfig
from rap_plugin.engines.base import Engine, closed_at_end, require_engine
from rap_plugin.errors import Command, Option, RapError
from rap_plugin.evidence.records import LedgerEntry
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.executors import Executor, open_executor
from rap_plugin.executors.batches import SampleReader
from rap_plugin.executors.local import LocalExecutor
from rap_plugin.grading import Grader
from rap_plugin.pipeline import curtailment, instalments
from rap_plugin.pipeline.finish import finish
from rap_plugin.pipeline.grading import grade_rest, grader_key, make_grader
from rap_plugin.pipeline.plan import shared_images
from rap_plugin.pipeline.probing import (
    FACTS,
    Prober,
    find_probes,
    probe_instalments,
    probe_keys,
    probe_pool,
    probe_waves,
)
from rap_plugin.pipeline.selection import make_selection, open_samples
from rap_plugin.plugins import Registry, get_plugins, load_plugin_files
from rap_plugin.progress import step
from rap_plugin.rollout import ModelIdentity
from rap_plugin.run_dir import files
from rap_plugin.run_dir.about import config_of, describe, identity_of, read_run, selected_config
from rap_plugin.run_dir.pool import (
    FINGERPRINT,
    known_fingerprint,
    open_pool_of,
    place_of,
)
from rap_plugin.samples.facts import FactsHash
from rap_plugin.samples.ingest import ingest
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.pool import Pool
from rap_plugin.selectors.base import Selection

IDENTITY = ("pool", "model", "prompt", "sampling", "r3")
"""Sections that say what a run is about; the others may change from one call to the next."""

FREE = {
    "pool": {"facts"},
    "model": {"batch_size", "options", "device"},
    "sampling": {"rollouts", "curtail", "budget_rollouts", "attempts"},
    "r3": {"rollouts", "boxes"},
}
"""Options of those sections that change how much or how fast is sampled, not what: stored rollouts stay good."""


SAMPLED_WITH = (
    *(f"pool.{name}" for name in ("format", "question", "answer", "images", "split", "limit", "max_pixels")),
    "model.id",
    "model.revision",
)
"""Options that a decision reads nothing of: the evidence is what they made it."""


@dataclass(frozen=True)
class RunResult:
    """What a call of `select_run` or `decide_run` did."""

    run: Path
    selection: Selection
    sampled: int
    """Rollouts that the engine was asked for now."""
    seconds: float

    def __repr__(self) -> str:
        return f"<RunResult {str(self.run)!r}: {self.selection!r}, {self.sampled:,} rollouts sampled now>"


def select_run(config: RunConfig, out: str | Path, *, extend: bool = False, quiet: bool = False) -> RunResult:
    """`rap select`: from a pool to a run directory. Whatever the directory already holds is used, not repeated.

    Raises RapError for everything that a user can mend; finished batches are stored by then.
    """
    load_plugin_files(config.plugins)
    registry = get_plugins().registry()
    registry.get("selectors", config.selection.selector)
    # A server with one model names it itself.
    if not config.model.id and config.model.engine != "openai":
        raise RapError("no model given; add ", Option("model.id"), " with a hub id or a folder")
    pool = open_pool(config.pool)
    engine = require_engine(registry.get("engines", config.model.engine)(config.model), config.model.engine)
    with closed_at_end(engine), closing(open_executor(config, engine, pool, registry.things["formats"])) as executor:
        return select_with(engine, pool, config, out, executor=executor, extend=extend, quiet=quiet)


def select_with(
    engine: Engine,
    pool: Pool,
    config: RunConfig,
    out: str | Path,
    *,
    executor: Executor | None = None,
    extend: bool = False,
    quiet: bool = False,
) -> RunResult:
    """The same with an engine and a pool that the caller has opened, and closes: for hosts that bring their own.

    Without an `executor` that engine answers, in this process; executors that start engines of their own are refused.
    """
    started = time.perf_counter()
    run = Path(out)
    registry = get_plugins().registry()
    reader = SampleReader(pool, config.pool, registry.things["formats"])
    if executor is None:
        if config.execution.executor != "local":
            raise RapError(
                f"execution.executor={config.execution.executor}: the engine is the host's own; leave it at local"
            )
        executor = LocalExecutor(engine, reader, config)
    with closing(make_grader(config, registry)) as grader, opened_run(run, config, pool, extend) as store:
        ingest_pool(store, pool, config, grader, registry, extend=extend, quiet=quiet)
        place, identity = place_of(run, pool, config.pool.image_root), _known_here(engine.identity, config)
        describe(run, config, identity, place)
        require_images(store, pool)
        if config.prompt.blind == "shuffle":
            shared_images(store, [sample.id for sample in store.samples() if sample.images > 0], reader)
        probes = find_probes(store, config, identity, make=True)
        prober = Prober(store, config, executor, grader, reader, get_plugins().manager.hook, quiet)
        rule = curtailment.active_stopping_rule(config)
        if config.sampling.budget_rollouts is not None:
            planned = instalments.Instalments(store, config, probes, registry)
            sampled = probe_instalments(prober, probes, planned.find_next)
        elif rule is None:
            sampled = probe_pool(prober, probes)
        else:
            find_open = partial(open_samples, store, config, probes, registry, rule)
            sampled = probe_waves(prober, probes, rule.waves(config), find_open)
        grade_rest(store, grader, probes, config)
        sampled_in = store.settings(probes["image"]).get("dtype", identity.dtype)
        describe(run, config, replace(identity, dtype=sampled_in), place)
        selection = make_selection(store, config, probes, registry)
        finish(run, selection, pool, store)
    return RunResult(run, selection, sampled, time.perf_counter() - started)


def _known_here(identity: ModelIdentity, config: RunConfig) -> ModelIdentity:
    """What is known of the model before it is started. What `auto` is for Ray's workers is not: this process may lack
    their GPU."""
    elsewhere = config.execution.executor == "ray" and config.model.dtype == "auto"
    return replace(identity, dtype="") if elsewhere else identity


def decide_run(
    run: str | PathLike[str], config: RunConfig, *, report: bool = False, pool: str | None = None
) -> RunResult:
    """`rap decide`: new thresholds, another selector or another grader over stored evidence; no engine.

    Without `report` the card is written anew and report.html is marked as stale. `pool` says where the pool is now, where
    it is neither at its old place nor beside the run. Raises RapError, and writes nothing, where the evidence is missing or
    the pool is not the one that was probed.
    """
    started = time.perf_counter()
    run = Path(run)
    about = read_run(run)
    _require_what_was_sampled(run, about, config)
    load_plugin_files(config.plugins)
    registry = get_plugins().registry()
    identity = identity_of(about)
    with files.locked(run), files.writing_evidence(run, config.storage) as store:
        files.require_evidence(store, run)
        found = open_pool_of(run, about, store, registry.things["formats"], pool)
        probes = find_probes(store, config, identity)
        # Grading is skipped where it is not needed: a grader's workers take longer to start than a decision takes.
        if store.get_meta("grader") != grader_key(config):
            with closing(make_grader(config, registry)) as grader:
                grade_rest(store, grader, probes, config)
        selection = make_selection(store, config, probes, registry)
        place = {**(about.get("pool") or {}), **place_of(run, found)}
        describe(run, config, identity, place, before=selected_config(about, run))
        finish(run, selection, found, store, report=report)
    return RunResult(run, selection, 0, time.perf_counter() - started)


def _require_what_was_sampled(run: Path, about: Mapping[str, Any], config: RunConfig) -> None:
    """Refuses another value of what a decision cannot change: run.json would say of the evidence what is not so."""
    before = selected_config(about, run).model_dump()
    now = config.model_dump()
    for name in SAMPLED_WITH:
        section, field = name.split(".")
        if now[section][field] != before[section][field]:
            raise RapError(
                f"{run}: its evidence is of ",
                Option(name),
                f"={before[section][field]!r}, not {now[section][field]!r}; leave that out, or sample it with ",
                Command("rap select"),
            )


def ingest_pool(
    store: EvidenceStore,
    pool: Pool,
    config: RunConfig,
    grader: Grader,
    registry: Registry,
    *,
    extend: bool = False,
    quiet: bool,
) -> None:
    """Reads and checks the pool, unless it is the one that the store already knows.

    A pool that has grown or changed its order is read again: evidence belongs to content. Raises RapError where samples
    are gone from it, unless the run is to be extended.
    """
    # Where the pool lies is no part of what it holds.
    options = config.pool.model_dump(exclude={"path"})
    # Absent unless used, so that a pool that an older rap has read is not read again.
    if options["facts"] is None:
        del options["facts"]
    now = json.dumps([pool.fingerprint(), options, grader.id], sort_keys=True)
    changed = known_fingerprint(store) not in ("", pool.fingerprint())
    if _without_path(store.get_meta(FINGERPRINT)) == now:
        return
    started = time.perf_counter()
    total = min(len(pool), config.pool.limit or len(pool))
    with step("read the pool", total, "rows", quiet=quiet) as advance:
        formats = registry.things["formats"]
        # Ingest tells the rows done so far, once a row; the bar counts new ones.
        items = ingest(
            pool, config.pool, check_gold=grader.check_gold, formats=formats, on_progress=lambda done: advance(1)
        )
        told = FactsHash()
        store.replace_pool(told.over(items) if config.pool.facts else items, now, keep=changed and not extend)
        if config.pool.facts:
            store.set_meta(FACTS, told.hexdigest())
    store.add_cost(LedgerEntry("ingest", time.perf_counter() - started))


def _without_path(known: str | None) -> str | None:
    """What an older rap noted, which named the pool's path too."""
    try:
        fingerprint, options, grader = json.loads(known or "")
        return json.dumps([fingerprint, {k: v for k, v in options.items() if k != "path"}, grader], sort_keys=True)
    except (ValueError, TypeError, AttributeError):
        return known


def require_images(store: EvidenceStore, pool: Pool) -> None:
    """Raises RapError for a pool without a usable row with an image."""
    rows, usable, pictured = store.pool_counts()
    if pictured:
        return
    if usable:
        raise RapError(
            f"{pool.path}: none of the {rows} rows has an image; name the column with ",
            Option("pool.images"),
            " if there is one",
        )
    worst = store.quarantine()[0] if rows else None
    example = f"; row {worst.row}: {worst.status}, {worst.reason}" if worst else ""
    raise RapError(f"{pool.path}: none of the {rows} rows can be used{example}")


@contextmanager
def opened_run(run: Path, config: RunConfig, pool: Pool, extend: bool) -> Iterator[EvidenceStore]:
    """The evidence of a new run, or of one that is continued; nobody else works there while the block runs."""
    files.require_lasting(run)
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RapError(
            f"{run}: cannot make the output folder ({error.strerror}); choose another ", Option("out")
        ) from None
    known = (run / files.RUN).exists()
    if known:
        _require_same(run, config, pool, extend)
    elif not (run / files.EVIDENCE).exists() and any(path.name != files.LOCK for path in run.iterdir()):
        raise RapError(f"{run}: the folder is not empty and not a run of rap; choose another ", Option("out"))
    with files.locked(run), files.writing_evidence(run, config.storage, create=not known) as store:
        if known:
            _name_settings(store, run)
        yield store


def _name_settings(store: EvidenceStore, run: Path) -> None:
    """Evidence of an older rap learns from run.json what it was sampled with, before another model could be taken for it."""
    about = read_run(run)
    before = config_of(about, run)
    for key in probe_keys(before, identity_of(about), facts=store.get_meta(FACTS) or "").values():
        if store.find_probe(key) is not None:
            store.probe(key)


def _require_same(run: Path, config: RunConfig, pool: Pool, extend: bool) -> None:
    """Refuses a configuration that is about something else than the run; where a pool lies now is no difference."""
    about = read_run(run)
    before = config_of(about, run).model_dump()
    now = config.model_dump()
    here = place_of(run, pool, config.pool.image_root)
    before_place = about.get("pool") or {}
    both_copies = all(files.in_job_copy(place.get("image_root", "/")) for place in (here, before_place))
    same_place = {
        "path": "fingerprint" in before_place and here["fingerprint"] == before_place["fingerprint"],
        # A job that is submitted again gets its images under another name; samples are known by their images' content.
        "image_root": "image_root" in here and (here["image_root"] == before_place.get("image_root") or both_copies),
    }
    for section in IDENTITY:
        for name, value in now[section].items():
            if name in FREE.get(section, ()) or before[section][name] == value or extend:
                continue
            if section == "pool" and same_place.get(name):
                continue
            raise RapError(
                f"{run}: holds a run with ",
                Option(f"{section}.{name}"),
                f"={before[section][name]!r}, not {value!r}; choose another ",
                Option("out"),
                ", or add ",
                Option("extend"),
                " to keep both kinds of evidence here",
            )
