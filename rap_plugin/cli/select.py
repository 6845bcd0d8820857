"""`rap select`."""

from __future__ import annotations

from typing import Any

import click

from rap_plugin.cli.options import config_options, flag_values
from rap_plugin.config import load_config


@click.command("select", short_help="Choose the samples of a pool that are worth training on.")
@click.argument("pool", required=False)
@click.option("--out", required=True, metavar="RUN", help="Run directory; one that exists is continued.")
@click.option("--extend", is_flag=True, help="Add evidence of another pool, model, prompt or sampling to RUN.")
@click.option("--quiet", is_flag=True, help="No progress, only the summary.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: one JSON object on standard output.")
@config_options(["pool", "model", "sampling", "prompt", "grading", "ace", "selection", "execution", "storage"])
def command(
    pool: str | None,
    out: str,
    extend: bool,
    quiet: bool,
    as_json: bool,
    config_path: str | None,
    assignments: tuple[str, ...],
    plugin_files: tuple[str, ...],
    **flags: Any,
) -> None:
    """Choose the samples of POOL (a file, folder or hub id) that are worth training on.

    Every rollout is kept in RUN; whatever is there already is not sampled again.
    """
    from rap_plugin.pipeline.select import select_run
    from rap_plugin.pipeline.summary import tell

    values = {**flag_values(flags), "pool.path": pool, "plugins": list(plugin_files) or None}
    config = load_config(config_path, values, assignments)
    tell(lambda: select_run(config, out, extend=extend, quiet=quiet), as_json=as_json)
