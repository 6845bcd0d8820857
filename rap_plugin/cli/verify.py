"""`rap verify`."""

from __future__ import annotations

import click


@click.command("verify", short_help="Check that a run's files follow from its evidence.")
@click.argument("run")
@click.option("--pool", metavar="PATH", help="Where the pool is now; default: its old place, or beside RUN.")
def command(run: str, pool: str | None) -> None:
    """Decide again from the evidence of RUN and compare with the files that are there.

    Checks the verdict and scores of every sample, that scores + quarantine cover the pool, and that the
    images in selected.parquet are the ones that were probed. Exits with status 1 at the first difference.
    """
    from rap_plugin.pipeline.verify import verify_run

    for line in verify_run(run, pool):
        click.echo(line)
