"""`rap compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rap_plugin.cli.tables import print_table

if TYPE_CHECKING:
    from rap_plugin.pipeline.compare import Comparison

MOST_SHOWN = 60
"""Characters of an option's value; prompts are long."""


@click.command("compare", short_help="Compare selections: overlap, flows, stability.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--draws", default=200, show_default=True, type=click.IntRange(0), help="Resampled selections per run; 0: none."
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**63 - 1), help="Of the resampling.")
@click.option("--out", metavar="FILE", help="Parquet file for every sample's probability of being selected.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(runs: tuple[str, ...], draws: int, seed: int, out: str | None, as_json: bool, quiet: bool) -> None:
    """Compare the selections of one or more RUNs: what they share, where verdicts move, how far chance decided.

    Stability comes from a bootstrap: every sample's rollouts are drawn again from themselves and decided again. The
    posterior says what another full run would select; it needs no full evidence.
    """
    from rap_plugin.pipeline import compare
    from rap_plugin.progress import step

    with step("resample", 2 * draws * len(runs), "selections", quiet=quiet) as advance:
        comparison = compare.compare_runs(runs, draws=draws, seed=seed, on_draw=advance)
    if out is not None:
        compare.write_probabilities(comparison, Path(out))
    if as_json:
        click.echo(json.dumps(compare.as_json(comparison), indent=2, ensure_ascii=False))
    else:
        _show(comparison)


def _show(comparison: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    for view in comparison.runs:
        console.print(view.run, style="bold", markup=False, soft_wrap=True)
        console.print(
            f"  {view.chosen:,} of {view.usable:,} samples selected ({view.chosen / max(view.usable, 1):.1%})"
        )
        if view.stopped:
            by_instalments = view.selection.config.sampling.budget_rollouts is not None
            kind, rest = (
                ("by instalments", "without a budget") if by_instalments else ("curtailed", "with `--no-curtail`")
            )
            console.print(
                f"  {kind}: sampling stopped early for {view.stopped:,} samples, so their rollouts cannot be resampled; "
                f"`rap select` {rest} samples the rest",
                soft_wrap=True,
                markup=False,
            )
        if view.forecast is not None:
            low, high = view.forecast.agreement_interval
            means = ", ".join(f"{value:.2f} {arm}" for arm, value in view.forecast.success.items())
            console.print(
                f"  posterior: another full run is expected to overlap by {view.forecast.agreement:.1%} ({low:.1%} to "
                f"{high:.1%}); {view.forecast.firm:,} selected samples are firm, {view.forecast.open:,} samples are open; mean "
                f"success of the selected: {means}",
                soft_wrap=True,
                markup=False,
            )
        if view.stability is None:
            continue
        low, high = view.stability.size_interval
        console.print(
            f"  resampled {view.stability.draws} times: {low:,.0f} to {high:,.0f} selected, "
            f"{view.stability.agreement:.1%} overlap with this selection on average",
            soft_wrap=True,
        )
        if not low <= view.chosen <= high:
            console.print(
                f"  {view.chosen:,} lies outside: drawing few rollouts again adds noise to each accuracy, and more samples "
                "fall below a threshold than rise above it, or the reverse",
                soft_wrap=True,
            )
        if view.stability.unfit:
            console.print(
                f"  {view.stability.unfit} of the draws leave fewer samples than the training needs and count as empty",
                soft_wrap=True,
            )
        console.print(
            f"  {view.stability.firm:,} of them are firm (in 90% of the draws or more); "
            f"{view.stability.open:,} samples are open (in 10% to 90%)",
            soft_wrap=True,
        )
    for pair in comparison.pairs:
        console.print()
        console.print(f"{pair.first} and {pair.second}", style="bold", markup=False, soft_wrap=True)
        ranks = "not defined" if pair.spearman is None else f"{pair.spearman:.3f}"
        console.print(f"  {pair.both:,} selected by both: overlap {pair.jaccard:.1%}")
        if pair.known < pair.common and pair.spearman is None:
            ranks = f"not known: only {pair.known:,} of the {pair.common:,} common samples were sampled to the end"
        else:
            ranks += f" over {pair.common:,} common samples"
        console.print(f"  rank correlation of discrepancy {ranks}", soft_wrap=True)
        if pair.posterior_spearman is not None:
            console.print(f"  rank correlation of its posterior means {pair.posterior_spearman:.3f}", soft_wrap=True)
        for name, values in pair.differ.items():
            shown = [json.dumps(value, ensure_ascii=False) for value in values]
            console.print(f"  {name}: {' and '.join(_short(value) for value in shown)}", soft_wrap=True, markup=False)
        flow = Table(box=None, padding=(0, 2, 0, 2))
        flow.add_column("verdict in the first")
        flow.add_column("in the second")
        flow.add_column("samples", justify="right")
        for verdict, counts in pair.flow.items():
            for other, number in counts.items():
                flow.add_row(verdict, other, f"{number:,}", style="dim" if verdict == other else "")
        print_table(flow)


def _short(value: str) -> str:
    return value if len(value) <= MOST_SHOWN else f"{value[:MOST_SHOWN]}.."
