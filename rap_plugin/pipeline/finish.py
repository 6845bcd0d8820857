"""The end of every selection: its files are written, plugins are told, an empty one is explained."""

from __future__ import annotations

from pathlib import Path

from rap_plugin.errors import EmptySelection
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.plugins import get_plugins
from rap_plugin.run_dir import files, tables
from rap_plugin.samples.pool import Pool
from rap_plugin.selectors.base import Selection


def finish(run: Path, selection: Selection, pool: Pool, store: EvidenceStore, *, report: bool = True) -> None:
    """Writes the run's files and tells the plugins; an empty selection is an error that names its cause."""
    tables.write_scores(run, selection)
    tables.write_quarantine(run, selection.quarantine)
    tables.write_selected(run, selection, pool)
    files.write_json(run / files.COST, tables.cost_of(store))
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
