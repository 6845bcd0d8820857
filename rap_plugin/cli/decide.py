"""`rap decide`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rap_plugin.cli.options import config_options, flag_values
from rap_plugin.config import load_config


@click.command("decide", short_help="Decide again over a run's evidence: new thresholds, no engine.")
@click.argument("run")
@click.option("--report/--no-report", default=False, help="Write report.html and the card again, too.")
@config_options(["grading", "ace", "selection"])
def command(
    run: str,
    report: bool,
    config_path: str | None,
    assignments: tuple[str, ...],
    plugin_files: tuple[str, ...],
    **flags: Any,
) -> None:
    """Decide again over the evidence of RUN: other thresholds, another selector or grader.

    No engine is started. scores.parquet, selected.parquet and run.json are replaced.
    """
    from rap_plugin.pipeline.select import decide_run
    from rap_plugin.pipeline.summary import print_summary
    from rap_plugin.run_dir.about import config_of, read_run

    before = config_of(read_run(Path(run)), Path(run))
    values = {**flag_values(flags), "plugins": list(plugin_files) or None}
    config = load_config(config_path, values, assignments, base=before)
    print_summary(decide_run(run, config, report=report))
