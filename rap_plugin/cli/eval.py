"""`rap eval`."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("eval", short_help="Compare results of lmms-eval and VLMEvalKit.")
def command() -> None:
    """Work with the results of our benchmark tasks in lmms-eval and VLMEvalKit."""


@command.command("compare")
@click.argument("results", nargs=-1, required=True)
@click.option("--against", metavar="MODEL", help="The model that others are compared with [the first].")
@click.option("--out", type=click.Path(file_okay=False), help="Write compare.md, compare.csv and compare.html here.")
def compare(results: tuple[str, ...], against: str | None, out: str | None) -> None:
    """Put the RESULTS of several models into one table: intervals, paired differences, visual dependence, tokens.

    RESULTS are files or folders: *_results.json of lmms-eval with their samples (--log_samples), and
    *_rap_scores.json of rap-vlmeval.
    """
    from rap_plugin.errors import RapError
    from rap_plugin.evaluation.compare import compare as compare_results
    from rap_plugin.evaluation.results import read_results
    from rap_plugin.evaluation.tables import as_csv, markdown, page

    paths = [Path(text).expanduser() for text in results]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise RapError(f"{missing[0]}: no such file or folder; give results of lmms-eval or rap-vlmeval")
    found, problems = read_results(paths)
    for problem in problems:
        click.echo(f"rap: left out: {problem}", err=True)
    models = list(dict.fromkeys(result.model for result in found))
    if against is not None and against not in models:
        raise RapError(f"no results of {against!r}: --against takes one of {', '.join(models)}")
    comparison = compare_results(found, against)
    text = markdown(comparison)
    click.echo(text)
    if out:
        folder = Path(out).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in (
            ("compare.md", text),
            ("compare.csv", as_csv(comparison)),
            ("compare.html", page(comparison)),
        ):
            (folder / name).write_text(content, "utf-8")
        click.echo(f"written to {folder}")
