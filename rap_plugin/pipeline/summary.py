"""What a person sees at the end of a selection."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table

from rap_plugin.pipeline.select import RunResult
from rap_plugin.report.responses import cut_by_verdict
from rap_plugin.report.words import verdict_word
from rap_plugin.selectors.base import CHOSEN


def print_summary(result: RunResult) -> None:
    """Verdicts, notes, cost and where everything is."""
    console = Console()
    decision = result.selection.decision
    total = len(result.selection.table)
    table = Table(box=None, pad_edge=False)
    table.add_column("verdict")
    table.add_column("samples", justify="right")
    table.add_column("share", justify="right")
    cut = cut_by_verdict(result.selection)
    if any(cut.values()):
        table.add_column("cut off with\nthe image", justify="right")
        table.add_column("without", justify="right")
    table.add_column("meaning", overflow="fold")
    for verdict, number in decision.counts().items():
        style = "bold green" if verdict in CHOSEN else ""
        meaning = verdict_word(verdict, result.selection.config.selection.selector).short
        cells = [f"{number:,}", f"{number / max(total, 1):.1%}"]
        if any(cut.values()):
            cells += ["" if share is None else f"{share:.1%}" for share in (cut[verdict].image, cut[verdict].blind)]
        table.add_row(verdict, *cells, meaning, style=style)
    quarantine = Counter(item.status for item in result.selection.quarantine)
    for status, number in sorted(quarantine.items()):
        empty = [""] * (len(table.columns) - 3)
        table.add_row(status, f"{number:,}", *empty, "in quarantine.parquet, with the reason", style="yellow")
    console.print(table)
    for note in decision.notes:
        console.print(f"note: {note}", style="yellow", highlight=False, markup=False)
    chosen = int(decision.chosen.sum())
    thresholds = ", ".join(f"{name} {value:.3g}" for name, value in decision.thresholds.items())
    console.print(
        f"{chosen:,} of {total:,} samples selected ({chosen / max(total, 1):.1%}){'; ' + thresholds if thresholds else ''}",
        style="bold",
        highlight=False,
    )
    console.print(
        f"{result.sampled:,} rollouts sampled now, {result.seconds:.1f} s in all; files in {result.run}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
