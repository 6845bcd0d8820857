"""`rap export`."""

from __future__ import annotations

import click

TARGETS = ("openrlhf", "trl", "verl", "easyr1", "jsonl", "hub-folder")


@click.command("export", short_help="Write a selection the way a trainer reads it.")
@click.argument("run")
@click.option(
    "--to",
    required=True,
    type=click.Choice(TARGETS),
    help="The trainer, jsonl for everything else, hub-folder to share.",
)
@click.option("--out", metavar="FOLDER", help="Where to; default: RUN/export-<trainer>.")
@click.option("--pool", metavar="PATH", help="Where the pool is now; default: its old place, or beside RUN.")
@click.option("--scores", is_flag=True, help="hub-folder: with verdict and scores of every sample.")
@click.option("--rollouts", is_flag=True, help="hub-folder: with every response and its grade.")
@click.option("--license", "licence", default="", metavar="ID", help="hub-folder: the pool's licence, as in cc-by-4.0.")
def command(run: str, to: str, out: str | None, pool: str | None, scores: bool, rollouts: bool, licence: str) -> None:
    """Write the selection of RUN the way a trainer reads it, images byte for byte."""
    from rap_plugin.exports import export_run

    exported = export_run(run, to, out, pool=pool, scores=scores, rollouts=rollouts, license=licence)
    if exported.warning:
        click.echo(f"warning: {exported.warning}", err=True)
    click.echo(f"{exported.rows:,} rows: {exported.path}")
    click.echo(exported.hint)
