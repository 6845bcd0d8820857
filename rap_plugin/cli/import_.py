"""`rap import`."""

from __future__ import annotations

import click


@click.command("import", short_help="Make a run from the rollout dumps of other tools.")
@click.option("--image", required=True, metavar="FILE", help="Dump of the rollouts with the images (image.json).")
@click.option("--blind", required=True, metavar="FILE", help="Dump of the rollouts without them (txt.json).")
@click.option(
    "--pool", required=True, metavar="POOL", help="Parquet file or folder with problem, answer, images, onlyid, id."
)
@click.option("--out", required=True, metavar="RUN", help="Run directory to make.")
@click.option("--report/--no-report", default=True, help="Write report.html and the card, too.")
@click.option("--quiet", is_flag=True, help="No progress, only the summary.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: one JSON object on standard output.")
def command(image: str, blind: str, pool: str, out: str, report: bool, quiet: bool, as_json: bool) -> None:
    """Make a run from the rollout dumps of RAP's released code, selected as that code selects.

    `rap decide RUN --preset paper` then decides by the paper's rule; no model is needed.
    """
    from rap_plugin.pipeline.released_dumps import import_run
    from rap_plugin.pipeline.summary import tell

    tell(lambda: import_run(image, blind, pool, out, report=report, quiet=quiet), as_json=as_json)
