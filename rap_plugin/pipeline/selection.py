"""A selection from stored evidence: scored and decided, no engine."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from rap_plugin.config import RunConfig
from rap_plugin.errors import Command, RapError
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.table import EvidenceTable, read_table
from rap_plugin.pipeline import instalments
from rap_plugin.pipeline.failures import failure_notes
from rap_plugin.pipeline.probing import find_probes
from rap_plugin.pipeline.statistics import statistics_of
from rap_plugin.plugins import Registry, get_plugins, load_plugin_files
from rap_plugin.report.responses import response_notes
from rap_plugin.rollout import Arm
from rap_plugin.run_dir import files
from rap_plugin.run_dir.about import config_of, identity_of, read_run
from rap_plugin.selectors import curtailed
from rap_plugin.selectors.base import Decision, Scores, Selection
from rap_plugin.selectors.stopping import StoppingRule


def load_selection(run: str | PathLike[str], config: RunConfig | None = None) -> tuple[Selection, EvidenceStore]:
    """The selection of a finished run, computed again from its evidence; the caller closes the store."""
    run = Path(run)
    about = read_run(run)
    config = config or config_of(about, run)
    load_plugin_files(config.plugins)
    store = files.open_evidence(run)
    try:
        probes = find_probes(store, config, identity_of(about))
        return make_selection(store, config, probes, get_plugins().registry()), store
    except BaseException:
        store.close()
        raise


def make_selection(store: EvidenceStore, config: RunConfig, probes: Mapping[Arm, int], registry: Registry) -> Selection:
    """Scores and decides: a pure function of the stored evidence and the configuration.

    Samples may lack rollouts only where their verdicts are settled without them.
    """
    if config.sampling.budget_rollouts is not None:
        return _with_quarantine(store, config, *instalments.decide(store, config, probes, registry))
    table = _read_table(store, config, probes)
    scorers = registry.things["scorers"]
    if still_open := curtailed.count_open(table, config, scorers):
        raise RapError(
            f"{store.path}: {still_open} samples lack rollouts that this configuration needs; ",
            Command("rap select"),
            " samples them",
        )
    decision, scores = curtailed.decide(table, config, scorers, registry.get("selectors", config.selection.selector))
    if table.incomplete:
        decision.notes.append(curtailed.saving(table))
    return _with_quarantine(store, config, table, decision, scores)


def _with_quarantine(
    store: EvidenceStore, config: RunConfig, table: EvidenceTable, decision: Decision, scores: Scores
) -> Selection:
    """The selection with what else a user should know of its responses and failures."""
    decision.notes.extend(response_notes(table, config))
    failures = store.failures(list(table.probes.values()), config.sampling.rollouts, config.sampling.attempts)
    decision.notes.extend(failure_notes(failures))
    quarantine = sorted([*store.quarantine(), *table.failed], key=lambda item: item.row)
    return Selection(config, table, scores, decision, quarantine)


def _read_table(store: EvidenceStore, config: RunConfig, probes: Mapping[Arm, int]) -> EvidenceTable:
    return read_table(store, probes, config.sampling.rollouts, statistics_of(config))


def open_samples(
    store: EvidenceStore, config: RunConfig, probes: Mapping[Arm, int], registry: Registry, rule: StoppingRule
) -> set[int]:
    """Numbers of the samples whose verdict can still change."""
    table = _read_table(store, config, probes)
    settled = rule.settled(table, compute_scores(table, config, registry), config)
    # A sample without a grade in each arm is not in the table, and as open as can be.
    known = set(table.sample.tolist())
    failed = {item.id for item in table.failed}
    pending = {s.sample for s in store.samples() if s.images > 0 and s.sample not in known and s.id not in failed}
    return set(table.sample[~settled & curtailed.stopped(table)].tolist()) | pending


def compute_scores(table: EvidenceTable, config: RunConfig, registry: Registry) -> Scores:
    """Every registered score, by name."""
    return curtailed.compute_scores(table, config, registry.things["scorers"])
