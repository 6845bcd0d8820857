"""`rap plan`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from rap_plugin.cli.options import config_options, flag_values
from rap_plugin.cli.tables import print_table
from rap_plugin.config import load_config
from rap_plugin.errors import Command, Option, RapError, on_command_line

SECTIONS = ("model", "sampling", "prompt", "grading", "selection")
"""Of the configuration: those whose flags the command has."""


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
@click.option("--extend", is_flag=True, help="Go on in RUN with another pilot, pool, model, prompt or sampling.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.option("--quiet", is_flag=True, help="No progress.")
@config_options(SECTIONS)
def command(
    pool: str,
    out: str,
    steps: int,
    group: int,
    prompts: int,
    pilot: int,
    learning: float,
    extend: bool,
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

    values = {**flag_values(flags), "pool.path": pool, "plugins": list(plugin_files) or None}
    config = load_config(config_path, values, assignments)
    most = config.pool.limit  # of a configuration file: the pool ends there
    pilot = min(pilot, most or pilot)
    config = load_config(flags={"pool.limit": pilot}, base=config)
    try:
        select_run(config, out, extend=extend, quiet=quiet)
    except EmptySelection:
        pass  # a pilot that selects nothing says so, too
    except RapError as error:
        raise error.spelled(_spell) from None
    selection, store = load_selection(out)
    store.close()
    cost = json.loads((Path(out) / files.COST).read_text(encoding="utf-8"))
    rows = len(open_pool(config.pool))
    rows = min(rows, most or rows)
    usable = round(rows * float((selection.table.images > 0).sum()) / min(rows, pilot))
    found = planning.plan_modes(
        planning.read_pilot(selection, cost, group), planning.Training(usable, steps, prompts, group, learning)
    )
    if as_json:
        click.echo(json.dumps([asdict(mode) for mode in found], indent=2))
        return
    _show(found, usable)


def _spell(part: Option | Command) -> str:
    """An option that has no flag here by its dotted name."""
    if isinstance(part, Option) and part.name == "pool.limit":
        return "--pilot"
    if isinstance(part, Option) and "." in part.name and part.name.split(".")[0] not in SECTIONS:
        return f"--set {part.name}"
    return on_command_line(part)


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
    print_table(table)
    for mode in modes:
        if mode.note:
            console.print(f"{mode.name}: {mode.note}", soft_wrap=True)
    best = min(modes, key=lambda mode: mode.seconds[0])
    console.print(f"{usable:,} usable samples; cheapest in expectation: {best.name}", style="bold", soft_wrap=True)
