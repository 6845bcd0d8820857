"""`rap decide`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rap_plugin.cli.options import config_options, flag_values
from rap_plugin.config import given_options, load_config
from rap_plugin.flags import flag_of

THRESHOLDS = {"selection.lambda_c", "selection.band", "selection.limr_threshold"}
"""Options that say how much is selected, as a budget does."""


@click.command("decide", short_help="Decide again over a run's evidence: new thresholds, no engine.")
@click.argument("run")
@click.option(
    "--report/--no-report",
    default=True,
    show_default=True,
    help="Write report.html again, too; otherwise it is marked as stale.",
)
@click.option("--pool", metavar="PATH", help="Where the pool is now; default: its old place, or beside RUN.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: one JSON object on standard output.")
@config_options(["grading", "ace", "selection"])
def command(
    run: str,
    report: bool,
    pool: str | None,
    as_json: bool,
    config_path: str | None,
    assignments: tuple[str, ...],
    plugin_files: tuple[str, ...],
    **flags: Any,
) -> None:
    """Decide again over the evidence of RUN: other thresholds, another selector or grader.

    No engine is started. Options start from those of `rap select`; without any, the last decision is made again.
    scores.parquet, selected.parquet, run.json and the dataset card are replaced.
    """
    from rap_plugin.pipeline.select import decide_run
    from rap_plugin.pipeline.summary import tell
    from rap_plugin.run_dir.about import config_of, read_run, selected_config

    about = read_run(Path(run))
    values = {**flag_values(flags), "plugins": list(plugin_files) or None}
    given = given_options(config_path, values, assignments)
    base = selected_config(about, Path(run)) if given else config_of(about, Path(run))
    config = load_config(config_path, values, assignments, base=base)
    if base.selection.keep is not None and given & THRESHOLDS and "selection.keep" not in given:
        # A budget would move the very threshold that is asked for now.
        config = load_config(assignments=["selection.keep=null"], base=config)
        click.echo(
            f"the budget of `rap select`, {flag_of('selection.keep')} {base.selection.keep:g}, is left out", err=as_json
        )
    tell(lambda: decide_run(run, config, report=report, pool=pool), as_json=as_json)
