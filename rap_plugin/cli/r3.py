"""`rap r3`: models that look again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rap_plugin.cli import r3_build_data, r3_train
from rap_plugin.cli.options import config_options, flag_values
from rap_plugin.config import RunConfig, load_config

CROPS = ("blank", "swapped", "random", "none")
FOR_ROWS = {"sampling.rollouts": "r3.rollouts", "sampling.temperature": "r3.temperature"}
"""Flags of sampling that mean the rows of the region loop here."""


@click.group("r3", short_help="Let models look again at regions of an image, and measure what it is worth.")
def command() -> None:
    """Region reasoning (VLM-R3): a model asks for boxes while it answers and is shown them enlarged."""


command.add_command(r3_build_data.command)
command.add_command(r3_train.command)


@command.command("run")
@click.argument("pool")
@click.option("--out", required=True, metavar="RUN", help="Run directory; one that exists is continued.")
@click.option("--extend", is_flag=True, help="Add evidence of another pool, model or setting to RUN.")
@click.option("--quiet", is_flag=True, help="No progress, only the summary.")
@config_options(["pool", "model", "sampling", "grading"])
def run(pool: str, out: str, extend: bool, quiet: bool, **rest: Any) -> None:
    """Answer every problem of POOL (a file, folder or prepared benchmark) in the region loop; traces are kept in RUN."""
    from rap_plugin.vlm_r3.run import run_pool

    done = run_pool(_config(rest, {"pool.path": pool}), out, extend=extend, quiet=quiet)
    click.echo(f"{done.sampled:,} answers sampled in {done.seconds:,.1f} s; run: {done.run}")
    _print_looks(out)


@command.command("ask")
@click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("question")
@click.option(
    "--html", "page", default="looks.html", show_default=True, metavar="FILE", help="Where to write the trace."
)
@config_options(["model", "sampling"])
def ask(images: tuple[Path, ...], question: str, page: str, **rest: Any) -> None:
    """Answer QUESTION about IMAGES, print the reasoning and write a page of where the model looked.

    A terminal gets every word as it comes, a file or a pipe every segment when it is whole.

    Without --model the embedded one answers, which knows digit scenes alone (`rap path r3-scene`).
    """
    import sys
    from contextlib import closing

    from rap_plugin.errors import RapError
    from rap_plugin.plugins import get_plugins
    from rap_plugin.samples.images import check_image, open_image
    from rap_plugin.samples.sample import ImageProblem
    from rap_plugin.vlm_r3.ask import AsItComes
    from rap_plugin.vlm_r3.ask import ask as ask_engine
    from rap_plugin.vlm_r3.pages import trace_page
    from rap_plugin.vlm_r3.scenes import MODEL_DIR
    from rap_plugin.vlm_r3.trace import Look

    config = _config(rest, {}, model=str(MODEL_DIR))
    if Path(page).is_dir() or not Path(page).absolute().parent.is_dir():
        raise RapError(f"--html {page}: cannot be written: it is a folder, or lies in none; name a file")
    pictures = []
    for path in images:
        try:
            data = path.read_bytes()
            check_image(data, config.pool.max_pixels)
            pictures.append(open_image(data))
        except (ImageProblem, OSError) as error:
            raise RapError(f"{path}: cannot be used as an image ({error})") from None

    words = AsItComes(lambda text: click.echo(_plain(text), nl=False))

    def told(text: str, look: Look | None, inserted: str) -> None:
        words.end(text)
        if look is None:
            return
        if look.problem:
            click.secho(f"\n  [no crop: {look.problem}]", fg="red")
        else:
            width, height = look.shown or (0, 0)
            click.secho(f"\n  [looks at {look.region} of image {look.image + 1}, {width} x {height}]", fg="green")

    with closing(get_plugins().registry().get("engines", config.model.engine)(config.model)) as engine:
        trace = ask_engine(engine, question, pictures, config, told, words.hear if sys.stdout.isatty() else None)
    click.echo()
    if trace.error:
        raise RapError(f"no answer: {trace.error}")
    click.secho(f"answer: {_plain(trace.answer)}", bold=True)
    try:
        shown = trace_page(trace, question, pictures, config.model.id)
        Path(page).write_text(shown, encoding="utf-8", errors="replace")
    except OSError as error:
        raise RapError(f"--html {page}: cannot be written ({error.strerror or error}); name another file") from None
    click.echo(f"where it looked: {page}")


@command.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8400, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one."
)
@click.option("--max-open", default=256, show_default=True, type=click.IntRange(1), help="Requests open at a time.")
@click.option("--max-seconds", default=600.0, show_default=True, type=click.FloatRange(1), help="Of one request.")
@click.option("--max-megabytes", default=64, show_default=True, type=click.IntRange(1), help="Of one request.")
@config_options(["model", "sampling"])
def serve(host: str, port: int, max_open: int, max_seconds: float, max_megabytes: int, **rest: Any) -> None:
    """Serve the region loop through OpenAI's chat protocol (POST /v1/chat/completions), with streaming."""
    from contextlib import closing

    from rap_plugin.plugins import get_plugins
    from rap_plugin.vlm_r3.server import ServerLimits, listen

    config = _config(rest, {})
    limits = ServerLimits(max_megabytes << 20, max_seconds, open_requests=max_open)
    with (
        closing(get_plugins().registry().get("engines", config.model.engine)(config.model)) as engine,
        listen((host, port), engine, config, limits) as server,
    ):
        click.echo(f"serving {config.model.id} on http://{host}:{server.server_address[1]}/v1 (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("stopping")


@command.command("looks")
@click.argument("run", type=click.Path(exists=True, file_okay=False))
def looks(run: str) -> None:
    """Print how a RUN looked: crops per answer, valid boxes, accuracy against the number of crops."""
    _print_looks(run)


@command.command("faithfulness")
@click.argument("run", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--crops", multiple=True, type=click.Choice(CROPS), help="What is shown in place of its crops [all four]."
)
@click.option("--pool", help="Where the pool is now, if it has moved.")
@click.option("--quiet", is_flag=True, help="No progress, only the tables.")
def faithfulness(run: str, crops: tuple[Any, ...], pool: str | None, quiet: bool) -> None:
    """Does looking matter? Answer RUN's problems again with other crops in place of the model's own, and compare.

    Writes faithfulness.json and faithfulness.html into RUN; answers that are there already are not sampled again.
    """
    from rap_plugin.vlm_r3.study import PAGE, study_run, tables_of, verdict

    found = study_run(run, crops or CROPS, pool=pool, quiet=quiet)
    click.secho(verdict(found), bold=True)
    for table in tables_of(found):
        click.echo(f"\n{table['title']}")
        _print_table([table["head"], *table["rows"]])
    click.echo(f"\nreport: {Path(run) / PAGE}")


def _config(rest: dict[str, Any], more: dict[str, Any], model: str = "") -> RunConfig:
    """The options of a command; `model` answers where none is named."""
    from rap_plugin.errors import Option, RapError

    plugin_files = rest.pop("plugin_files")
    path, assignments = rest.pop("config_path"), rest.pop("assignments")
    values = {FOR_ROWS.get(name, name): value for name, value in flag_values(rest).items()}
    config = load_config(path, {**values, **more, "plugins": list(plugin_files) or None}, assignments)
    if model and not config.model.id:
        config = config.model_copy(update={"model": config.model.model_copy(update={"id": model})})
    if not config.model.id:
        raise RapError("no model given; add ", Option("model.id"), " with a hub id or a folder")
    return config


def _print_looks(run: str) -> None:
    from rap_plugin.vlm_r3.measures import Share, share_text
    from rap_plugin.vlm_r3.study import looks_of_run

    found = looks_of_run(run)
    rows = [
        ["accuracy", _share(found["accuracy"])],
        ["crops per answer", f"{found['crops_per_answer'] or 0:.2f}"],
        ["answers that ask for a region", _share(found["answers_that_look"])],
        ["boxes that are valid", _share(found["valid_boxes"])],
    ]
    rows += [
        [f"accuracy with {name} crops", share_text(Share(part["count"], part["of"]))]
        for name, part in found["accuracy_by_crops"].items()
    ]
    _print_table(rows)
    if "official" in found:
        _print_official(found["official"])


def _print_official(found: dict[str, Any]) -> None:
    """A benchmark's own measures, in per cent."""
    if "problem" in found:
        click.echo(f"\n{found['title']}: its own measures cannot be told ({found['problem']})")
        return
    click.echo(f"\n{found['title']}, by its own rules, {found['rows']:,} of {found['of']:,} rows")
    shown = [
        [f"{name} (headline)" if name == found["headline"] else name, "-" if value is None else f"{100 * value:.1f} %"]
        for name, value in found["measures"].items()
    ]
    _print_table(shown)


def _share(part: dict[str, Any]) -> str:
    from rap_plugin.vlm_r3.measures import Share, share_text

    return share_text(Share(part["count"], part["of"]))


def _print_table(rows: list[list[str]]) -> None:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _plain(text: str) -> str:
    """Without characters that move a terminal's cursor."""
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)
