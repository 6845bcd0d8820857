"""`rap report`."""

from __future__ import annotations

from pathlib import Path

import click

LARGE = 5.0
"""MB of a report from which on it is said that there is a smaller one."""


@click.command("report", short_help="Write a run's report again.")
@click.argument("run")
@click.option("--open", "opened", is_flag=True, help="Show it in a browser.")
@click.option(
    "--samples", type=click.IntRange(0), metavar="N", help="How many samples it shows, pictures included; default: 160."
)
@click.option(
    "--attention",
    type=click.IntRange(1),
    metavar="N",
    help="Let the model read the responses of N of these samples again, and shade their tokens by attention.",
)
@click.option(
    "--with-images",
    is_flag=True,
    help="All pictures of these samples, however large report.html becomes; see --samples.",
)
@click.option("--pool", metavar="PATH", help="Where the pool is now; default: its old place, or beside RUN.")
@click.option(
    "--faithfulness",
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="A faithfulness.json, or its run, to be shown too; default: RUN's own.",
)
def command(
    run: str,
    opened: bool,
    samples: int | None,
    attention: int | None,
    with_images: bool,
    pool: str | None,
    faithfulness: Path | None,
) -> None:
    """Write report.html and the dataset card of RUN again, from its evidence.

    Of a run of the region loop (`rap r3 run`) it says how the model looked and whether looking matters.
    """
    from contextlib import closing

    from rap_plugin.errors import RapError
    from rap_plugin.pipeline.selection import load_selection
    from rap_plugin.pipeline.shading import shade
    from rap_plugin.plugins import get_plugins
    from rap_plugin.report import write_report
    from rap_plugin.report.gallery import SAMPLES
    from rap_plugin.run_dir import files
    from rap_plugin.run_dir.about import read_run
    from rap_plugin.run_dir.pool import open_pool_of
    from rap_plugin.vlm_r3.stored import faithfulness_part, find_faithfulness, is_region_run, write_region_report

    path = Path(run) / files.REPORT
    results = find_faithfulness(Path(run), faithfulness)
    if is_region_run(Path(run)):
        if attention:
            raise RapError(f"{run}: a run of the region loop keeps no attention; leave --attention out")
        if with_images:
            raise RapError(f"{run}: a run of the region loop has a page of its own; leave --with-images out")
        write_region_report(Path(run), results)
        _show(path, opened)
        return
    looking = "" if results is None else faithfulness_part(results)
    selection, store = load_selection(run)
    with closing(store):
        formats = get_plugins().registry().things["formats"]
        found = open_pool_of(Path(run), read_run(Path(run)), store, formats, pool)
        if attention:
            shade(Path(run), selection, store, found, attention, SAMPLES if samples is None else samples)
        write_report(Path(run), selection, found, store, samples, looking, every_picture=with_images)
    size = path.stat().st_size / 1e6
    if size > LARGE:
        click.echo(
            f"{path.name} has {size:.1f} MB and opens slowly; fewer --samples make it smaller, and `rap view {run}` shows "
            "all of them page by page",
            err=True,
        )
    _show(path, opened)


def _show(path: Path, opened: bool) -> None:
    click.echo(path)
    if opened:
        click.launch(path.absolute().as_uri())
