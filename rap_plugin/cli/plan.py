"""`rap plan`."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from rap_plugin.cli.options import config_options, flag_values
from rap_plugin.config import load_config


@click.command("plan", short_help="What each way to choose training rows would cost.")
@click.argument("pool")
@click.option("--out", required=True, metavar="RUN", help="Run directory of the pilot; one that exists is continued.")
@click.option("--steps", required=True, type=click.IntRange(1), help="Training steps over the whole pool.")
@click.option(
    "--group", default=5, show_default=True, type=click.IntRange(2), help="Responses to a prompt in training."
)
@click.option("--prompts", default=128, show_default=True, type=click.IntRange(1), help="Prompts of a training step.")
@click.option(
    "--pilot", default=200, show_default=True, type=click.IntRange(10), help="Rows of POOL to sample, its first."
)
@click.option(
    "--learning", default=2.0, show_default=True, type=click.FloatRange(0), help="Price of learning from a response, in that of sampling one."
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.option("--quiet", is_flag=True, help="No progress.")
@config_options(["model", "sampling", "prompt", "grading", "selection"])
def command(
    pool: str,
    out: str,
    steps: int,
    group: int,
    prompts: int,
    pilot: int,
    learning: float,
    as_json: bool,
    quiet: bool,
    config_path: str | None,
    assignments: tuple[str, ...],
    plugin_files: tuple[str, ...],
    **flags: Any,
) -> None:
    """Sample a pilot of POOL (its rows should be in random order) and say what training on it would cost: on all of it, with a filter, after a
    selection, and following. Ways are compared at the same number of informative groups.
    """
    from rap_plugin.errors import EmptySelection
    from rap_plugin.pipeline import planning
    from rap_plugin.pipeline.select import select_run
    from rap_plugin.pipeline.selection import load_selection
    from rap_plugin.run_dir import files
    from rap_plugin.samples.opening import open_pool

    values = {**flag_values(flags), "pool.path": pool, "pool.limit": pilot, "plugins": list(plugin_files) or None}
    config = load_config(config_path, values, assignments)
    with suppress(EmptySelection):  # a pilot that selects nothing says so, too
        select_run(config, out, quiet=quiet)
    selection, store = load_selection(out)
    store.close()
    cost = json.loads((Path(out) / files.COST).read_text(encoding="utf-8"))
    rows = len(open_pool(config.pool))
    usable = round(rows * float((selection.table.images > 0).sum()) / min(rows, pilot))
    found = planning.plan_modes(
        planning.read_pilot(selection, cost, group), planning.Training(usable, steps, prompts, group, learning)
    )
    if as_json:
        click.echo(json.dumps([asdict(mode) for mode in found], indent=2))
        return
    _show(found, usable)


def _show(modes: list[Any], usable: int) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("mode", no_wrap=True)
    for name in ("scoring,\nrollouts", "training,\nrollouts", "cost,\nhours", "of whole\npool's"):
        table.add_column(name, justify="right", no_wrap=True)
    for mode in modes:
        table.add_row(
            mode.name,
            f"{mode.scoring:,.0f}",
            f"{mode.training[0]:,.0f}",
            f"{mode.seconds[0] / 3600:.3g}",
            f"{mode.share[0]:.0%} ({100 * mode.share[1]:.0f}-{100 * mode.share[2]:.0f})",
        )
    console.print(table)
    for mode in modes:
        if mode.note:
            console.print(f"{mode.name}: {mode.note}")
    best = min(modes, key=lambda mode: mode.seconds[0])
    console.print(f"{usable:,} usable samples; cheapest in expectation: {best.name}", style="bold")
