"""`rap view`."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rap_plugin.report.view import View


@click.command("view", short_help="Look at every sample of a run, or of two side by side.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="0: any free one.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen at; others can see what is there."
)
@click.option("--pool", metavar="PATH", help="Where the pool is now; default: its old place, or beside RUN.")
@click.option("--open", "opened", is_flag=True, help="Show it in a browser.")
def command(runs: tuple[str, ...], port: int, host: str, pool: str | None, opened: bool) -> None:
    """Serve every sample of RUN to a browser on this machine: pages, search, and two runs side by side.

    Nothing is changed. Ctrl-C ends it.
    """
    from rap_plugin.pipeline.selection import load_selection
    from rap_plugin.plugins import get_plugins
    from rap_plugin.report.view import View, Viewed, open_server
    from rap_plugin.run_dir.about import read_run
    from rap_plugin.run_dir.pool import open_pool_of

    with ExitStack() as stack:
        viewed = []
        for run in runs:
            selection, store = load_selection(run)
            stack.enter_context(closing(store))
            formats = get_plugins().registry().things["formats"]
            found = open_pool_of(Path(run), read_run(Path(run)), store, formats, pool)
            viewed.append(Viewed(Path(run), selection, found, store))
        view = View(viewed)
        server = stack.enter_context(open_server(view, host, port))
        threading.Thread(target=_measure, args=(view,), daemon=True).start()
        address = f"http://{host}:{server.server_address[1]}/"
        click.echo(f"{address} (Ctrl-C ends it)")
        if opened:
            click.launch(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("ended", err=True)


def _measure(view: View) -> None:
    # Ctrl-C closes the evidence under it, and the pages stand without it.
    with suppress(Exception):
        view.measure()
