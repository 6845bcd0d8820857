"""The end of every selection: its files are written, plugins are told, an empty one is explained."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rap_plugin.errors import EmptySelection, Option, RapError
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.plugins import get_plugins
from rap_plugin.report.responses import lacks_form
from rap_plugin.run_dir import files, tables
from rap_plugin.samples.pool import Pool
from rap_plugin.selectors.base import Selection


def finish(run: Path, selection: Selection, pool: Pool, store: EvidenceStore, *, report: bool = True) -> None:
    """Writes the run's files and tells the plugins; an empty selection is an error that names its cause.

    Without `report`, which takes some seconds, an earlier report.html is marked as stale.
    """
    tables.write_scores(run, selection)
    tables.write_quarantine(run, selection.quarantine)
    tables.write_selected(run, selection, pool)
    sampling, probes = selection.config.sampling, list(selection.table.probes.values())
    failed = asdict(store.failures(probes, sampling.rollouts, sampling.attempts))
    files.write_json(run / files.COST, {**tables.cost_of(store), "failed": failed})
    from rap_plugin.report import mark_stale, write_card, write_report

    if report:
        write_report(run, selection, pool, store)
    else:
        write_card(run, selection, pool)
        mark_stale(run)
    get_plugins().tell("rap_selection_made", run=run, selection=selection)
    if not selection.decision.chosen.any():
        empty = _why_empty(selection)
        empty.selection = selection
        raise empty


def _why_empty(selection: Selection) -> EmptySelection:
    counts = selection.decision.counts()
    if not counts:
        return EmptySelection(
            "the selection is empty: no row of the pool could be used; quarantine.parquet says why for each"
        )
    verdict, number = max(counts.items(), key=lambda item: item[1])
    hints = {
        "language_prior": RapError(
            "lower ", Option("selection.lambda_c"), ", or set a budget with ", Option("selection.keep")
        ),
        "attention_biased": RapError("raise ", Option("selection.lambda_a"), " or set it to auto"),
        "easy": RapError("the model solves this pool already; use harder problems"),
        "unsolved": RapError(
            "the model never solves these; use an easier pool, a stronger model or more ", Option("sampling.rollouts")
        ),
        "cut_off": RapError("most responses were cut off; raise ", Option("sampling.max_new_tokens")),
        "unmeasured": RapError("their attention was not measured; set ", Option("selection.unmeasured"), " to pass"),
        "too_few_graded": RapError("most rollouts failed or could not be graded; see the column error of the evidence"),
        "text_only": RapError("the pool's rows have no images; RAP selects multimodal problems"),
    }
    if verdict == "unsolved" and selection.config.format_weight > 0 and lacks_form(selection.table, selection.config):
        hints["unsolved"] = RapError(
            "no response is <think>..</think> .. \\boxed{..}, so no reward is exactly 1; give an instruction that the model "
            "follows (",
            Option("prompt.instruction"),
            ") or set ",
            Option("grading.format_weight"),
            " to 0",
        )
    if selection.config.sampling.budget_rollouts is not None:
        hints["not_chosen"] = RapError("raise ", Option("sampling.budget_rollouts"), ", or leave it out")
    hint = hints.get(verdict, RapError("loosen the selector's thresholds"))
    what = f"the selection is empty: {number} of {len(selection.table)} samples are {verdict}; "
    return EmptySelection(what, hint, " (the evidence is kept)")
