"""The pipeline: ingest, probe, score, decide, write."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rap_plugin import curtail, outputs
from rap_plugin.config import RunConfig
from rap_plugin.engines.base import Arm, Engine, ModelIdentity
from rap_plugin.errors import EmptySelection, RapError
from rap_plugin.evidence.schema import SCHEMA_VERSION
from rap_plugin.evidence.store import EvidenceStore, LedgerEntry
from rap_plugin.evidence.table import EvidenceTable, read_table
from rap_plugin.evidence.variants import ENTROPY_COLUMN, Variant
from rap_plugin.executors import Executor, open_executor
from rap_plugin.executors.batches import Reader
from rap_plugin.executors.local import LocalExecutor
from rap_plugin.grading import Grader, GradingOptions, open_grader
from rap_plugin.plugins import Registry, get_plugins, load_plugin_files
from rap_plugin.probing import Prober, grade_pending, probe_keys, probe_pool, probe_waves
from rap_plugin.progress import step
from rap_plugin.samples.ingest import ingest
from rap_plugin.samples.pool import Pool, open_pool
from rap_plugin.selectors.base import Scores, Selection
from rap_plugin.selectors.settle import Settler, find_settler

IDENTITY = ("pool", "model", "prompt", "sampling")
"""Sections that say what a run is about; the others may change from one call to the next."""

FREE = {"model": {"batch_size", "options", "device"}, "sampling": {"rollouts", "curtail"}}
"""Options of those sections that change how much or how fast is sampled, not what: stored rollouts stay good."""


@dataclass(frozen=True)
class RunResult:
    """What a call of `select_run` or `decide_run` did."""

    run: Path
    selection: Selection
    sampled: int
    """Rollouts that the engine was asked for now."""
    seconds: float


def select_run(config: RunConfig, out: str | Path, *, extend: bool = False, quiet: bool = False) -> RunResult:
    """`rap select`: from a pool to a run directory. Whatever the directory already holds is used, not repeated.

    Raises RapError for everything that a user can mend; finished batches are stored by then.
    """
    load_plugin_files(config.plugins)
    registry = get_plugins().registry()
    registry.get("selectors", config.selection.selector)
    if not config.model.id:
        raise RapError("no model given; add --model with a hub id or a folder")
    pool = open_pool(config.pool)
    engine = registry.get("engines", config.model.engine)(config.model)
    with closing(engine), closing(open_executor(config, engine, pool, registry.things["formats"])) as executor:
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

    Without an `executor` that engine answers, in this process; others cannot have it.
    """
    started = time.perf_counter()
    run = Path(out)
    registry = get_plugins().registry()
    reader = Reader(pool, config.pool, registry.things["formats"])
    if executor is None:
        if config.execution.executor != "local":
            raise RapError(
                f"execution.executor={config.execution.executor}: the engine is the host's own; leave it at local"
            )
        executor = LocalExecutor(engine, reader, config)
    with closing(make_grader(config, registry)) as grader, _opened(run, config, extend) as store:
        describe(run, config, engine.identity)
        ingest_pool(store, pool, config, grader, registry, quiet=quiet)
        _require_images(store, pool)
        keys = probe_keys(config, engine.identity)
        probes: dict[Arm, int] = {arm: store.probe(key) for arm, key in keys.items()}
        prober = Prober(store, config, executor, grader, reader, get_plugins().manager.hook, quiet)
        settler = curtail.active_settler(config)
        if settler is None:
            sampled = probe_pool(prober, probes)
        else:
            find_open = partial(_open_samples, store, config, probes, registry, settler)
            sampled = probe_waves(prober, probes, settler.waves(config), find_open)
        _grade_rest(store, grader, probes, config)
        selection = make_selection(store, config, probes, registry)
        finish(run, selection, pool, store)
    return RunResult(run, selection, sampled, time.perf_counter() - started)


def decide_run(run: str | Path, config: RunConfig, *, report: bool = False) -> RunResult:
    """`rap decide`: new thresholds, another selector or another grader over stored evidence; no engine."""
    started = time.perf_counter()
    run = Path(run)
    about = read_run(run)
    load_plugin_files(config.plugins)
    registry = get_plugins().registry()
    pool = open_pool(config.pool)
    identity = ModelIdentity(**about["model"])
    with outputs.locked(run), closing(EvidenceStore(run / outputs.EVIDENCE)) as store:
        probes: dict[Arm, int] = {arm: store.probe(key) for arm, key in probe_keys(config, identity).items()}
        # Grading is skipped where it is not needed: a grader's workers take longer to start than a decision takes.
        if store.get_meta("grader") != grader_key(config):
            with closing(make_grader(config, registry)) as grader:
                _grade_rest(store, grader, probes, config)
        selection = make_selection(store, config, probes, registry)
        describe(run, config, identity)
        finish(run, selection, pool, store, report=report)
    return RunResult(run, selection, 0, time.perf_counter() - started)


def load_selection(run: str | Path, config: RunConfig | None = None) -> tuple[Selection, EvidenceStore]:
    """The selection of a finished run, computed again from its evidence; the caller closes the store."""
    run = Path(run)
    about = read_run(run)
    config = config or config_of(about, run)
    load_plugin_files(config.plugins)
    store = EvidenceStore(run / outputs.EVIDENCE)
    identity = ModelIdentity(**about["model"])
    probes: dict[Arm, int] = {arm: store.probe(key) for arm, key in probe_keys(config, identity).items()}
    return make_selection(store, config, probes, get_plugins().registry()), store


def make_grader(config: RunConfig, registry: Registry) -> Grader:
    """The configured grader; its workers start at the first response that needs one."""
    options = GradingOptions(
        timeout_s=config.grading.timeout_s,
        workers=config.grading.workers,
        format_weight=config.format_weight,
        right_at=config.grading.right_at,
        rtol=config.grading.rtol,
        alternatives=config.grading.alternatives,
    )
    return open_grader(config.grading.grader, options=options, registry=registry.things["graders"])


def grader_key(config: RunConfig) -> str:
    """What the stored grades depend on besides the responses."""
    return json.dumps({**config.grading.model_dump(), "format_weight": config.format_weight}, sort_keys=True)


def _grade_rest(store: EvidenceStore, grader: Grader, probes: Mapping[Arm, int], config: RunConfig) -> None:
    grade_pending(store, grader, list(probes.values()))
    store.set_meta("grader", grader_key(config))


def ingest_pool(
    store: EvidenceStore, pool: Pool, config: RunConfig, grader: Grader, registry: Registry, *, quiet: bool
) -> None:
    """Reads and checks the pool, unless it is the one that the store already knows."""
    known = json.dumps([pool.fingerprint(), config.pool.model_dump(), grader.id], sort_keys=True)
    if store.get_meta("pool_fingerprint") == known:
        return
    started = time.perf_counter()
    total = min(len(pool), config.pool.limit or len(pool))
    with step("read the pool", total, "rows", quiet=quiet) as advance:
        formats = registry.things["formats"]
        # Ingest tells the rows done so far, once a row; the bar counts new ones.
        items = ingest(
            pool, config.pool, check_gold=grader.check_gold, formats=formats, on_progress=lambda done: advance(1)
        )
        store.replace_pool(items, known)
    store.add_cost(LedgerEntry("ingest", time.perf_counter() - started))


def make_selection(store: EvidenceStore, config: RunConfig, probes: Mapping[Arm, int], registry: Registry) -> Selection:
    """Scores and decides: a pure function of the stored evidence and the configuration.

    Samples may lack rollouts only where their verdicts are settled without them.
    """
    table = _read_table(store, config, probes)
    scores = compute_scores(table, config, registry)
    selector = registry.get("selectors", config.selection.selector)
    if table.incomplete:
        settler = find_settler(config)
        still_open = table.pending + (
            int((~settler.settled(table, scores, config)).sum()) if settler else table.incomplete - table.pending
        )
        if still_open:
            raise RapError(
                f"{store.path}: {still_open} samples lack rollouts that this configuration needs; `rap select` samples them"
            )
        filled = curtail.complete(table)
        decision = selector(filled, compute_scores(filled, config, registry), config)
        curtail.explain(table, decision.reasons)
        decision.notes.append(curtail.saving(table))
        scores = curtail.without_means(table, scores)
    else:
        decision = selector(table, scores, config)
    quarantine = sorted([*store.quarantine(), *table.failed], key=lambda item: item.row)
    return Selection(config, table, scores, decision, quarantine)


def _read_table(store: EvidenceStore, config: RunConfig, probes: Mapping[Arm, int]) -> EvidenceTable:
    psi = Variant(config.ace.reduction, config.ace.heads, config.ace.window).column
    statistics = [(psi, config.ace.over_rollouts), (ENTROPY_COLUMN, "mean")]
    return read_table(store, probes, config.sampling.rollouts, statistics)


def _open_samples(
    store: EvidenceStore, config: RunConfig, probes: Mapping[Arm, int], registry: Registry, settler: Settler
) -> set[int]:
    """Numbers of the samples whose verdict can still change."""
    table = _read_table(store, config, probes)
    settled = settler.settled(table, compute_scores(table, config, registry), config)
    # A sample without a grade in each arm is not in the table, and as open as can be.
    known = set(table.sample.tolist())
    failed = {item.id for item in table.failed}
    pending = {s.sample for s in store.samples() if s.images > 0 and s.sample not in known and s.id not in failed}
    return set(table.sample[~settled & curtail.stopped(table)].tolist()) | pending


def compute_scores(table: EvidenceTable, config: RunConfig, registry: Registry) -> Scores:
    """Every registered score, by name."""
    return {name: scorer(table, config) for name, scorer in registry.things["scorers"].items()}


def finish(run: Path, selection: Selection, pool: Pool, store: EvidenceStore, *, report: bool = True) -> None:
    """Writes the run's files and tells the plugins; an empty selection is an error that names its cause."""
    outputs.write_scores(run, selection)
    outputs.write_quarantine(run, selection.quarantine)
    outputs.write_selected(run, selection, pool)
    outputs.write_json(run / outputs.COST, outputs.cost_of(store))
    if report:
        from rap_plugin.report import write_report

        write_report(run, selection, pool)
    get_plugins().manager.hook.rap_selection_made(run=run, selection=selection)
    if not selection.decision.chosen.any():
        raise EmptySelection(_why_empty(selection))


def _why_empty(selection: Selection) -> str:
    counts = selection.decision.counts()
    if not counts:
        return "the selection is empty: no row of the pool could be used; quarantine.parquet says why for each"
    verdict, number = max(counts.items(), key=lambda item: item[1])
    hints = {
        "language_prior": "lower --lambda-c, or set a budget with --keep",
        "attention_biased": "raise --lambda-a or use --lambda-a auto",
        "easy": "the model solves this pool already; use harder problems",
        "unsolved": "the model never solves these; use an easier pool, a stronger model or more --rollouts",
        "text_only": "the pool's rows have no images; RAP selects multimodal problems",
    }
    hint = hints.get(verdict, "loosen the selector's thresholds")
    return f"the selection is empty: {number} of {len(selection.table)} samples are {verdict}; {hint} (the evidence is kept)"


def _require_images(store: EvidenceStore, pool: Pool) -> None:
    rows, usable, pictured = store.pool_counts()
    if pictured:
        return
    if usable:
        raise RapError(
            f"{pool.path}: none of the {rows} rows has an image; name the column with --images if there is one"
        )
    worst = store.quarantine()[0] if rows else None
    example = f"; row {worst.row}: {worst.status}, {worst.reason}" if worst else ""
    raise RapError(f"{pool.path}: none of the {rows} rows can be used{example}")


@contextmanager
def _opened(run: Path, config: RunConfig, extend: bool) -> Iterator[EvidenceStore]:
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RapError(f"{run}: cannot make the output folder ({error.strerror})") from None
    if (run / outputs.RUN).exists():
        _require_same(run, config, extend)
    elif not (run / outputs.EVIDENCE).exists() and any(path.name != outputs.LOCK for path in run.iterdir()):
        raise RapError(f"{run}: the folder is not empty and not a run of rap; choose another --out")
    with outputs.locked(run), closing(EvidenceStore(run / outputs.EVIDENCE)) as store:
        yield store


def _require_same(run: Path, config: RunConfig, extend: bool) -> None:
    before = config_of(read_run(run), run).model_dump()
    now = config.model_dump()
    for section in IDENTITY:
        for name, value in now[section].items():
            if name in FREE.get(section, ()) or before[section][name] == value or extend:
                continue
            raise RapError(
                f"{run}: holds a run with {section}.{name}={before[section][name]!r}, not {value!r}; "
                "choose another --out, or add --extend to keep both kinds of evidence here"
            )


def read_run(run: Path) -> dict[str, Any]:
    """`run.json`, checked for being one of ours."""
    try:
        about: dict[str, Any] = json.loads((run / outputs.RUN).read_text(encoding="utf-8"))
        about["config"], about["model"]
    except FileNotFoundError:
        raise RapError(
            f"{run}: no run directory of rap (there is no {outputs.RUN}); make one with `rap select`"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RapError(f"{run / outputs.RUN}: cannot be read ({error})") from None
    return about


def config_of(about: Mapping[str, Any], run: Path) -> RunConfig:
    """The configuration that a run was made with."""
    try:
        return RunConfig.model_validate(about["config"])
    except ValueError as error:
        first = str(error).splitlines()[1:2]
        raise RapError(f"{run / outputs.RUN}: its configuration is of another version ({' '.join(first)})") from None


def describe(run: Path, config: RunConfig, identity: ModelIdentity) -> None:
    """Writes `run.json`: enough to run it again."""
    outputs.write_json(
        run / outputs.RUN,
        {
            "rap_plugin": _version("rap-plugin"),
            "schema_version": SCHEMA_VERSION,
            "model": asdict(identity),
            "config": config.model_dump(mode="json"),
            "versions": {
                "python": platform.python_version(),
                **{
                    name: found
                    for name in ("torch", "transformers", "vllm", "numpy", "pyarrow", "math-verify")
                    if (found := _version(name))
                },
            },
            "command": "rap select --config run.yaml (the section `config` above, as YAML)",
        },
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
