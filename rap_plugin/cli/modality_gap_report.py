"""`rap modality-gap measure` and `rap modality-gap report`."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command("measure", short_help="Sample a model on a pool in both conditions.")
@click.option("--data", required=True, metavar="POOL", help="Any pool with facts in words.")
@click.option("--model", required=True, metavar="FOLDER|HUB_ID", help="The model.")
@click.option("--out", required=True, metavar="FOLDER", help="Where to; gap.jsonl there is added to.")
@click.option("--engine", default="hf", show_default=True, help="Name of a registered engine.")
@click.option("--facts", metavar="COLUMN|FILE.PY:FUNCTION", help="Where the facts are, as of prepare.")
@click.option("--split", help="Split of the pool.")
@click.option("--image-root", metavar="FOLDER", help="Where relative image paths start.")
@click.option("--limit", type=click.IntRange(min=1), help="Use the first N rows only.")
@click.option(
    "--samples", "-n", type=click.IntRange(min=1, max=62), default=4, show_default=True, help="Responses per condition."
)
@click.option("--temperature", type=click.FloatRange(min=0, min_open=True), default=0.6, show_default=True)
@click.option("--max-new-tokens", type=click.IntRange(min=1), default=2048, show_default=True)
@click.option("--recipe", default="model", show_default=True, help="Name in the report.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--step", type=click.IntRange(min=0), default=0, show_default=True, help="Training step in the report.")
@click.option("--quiet", is_flag=True, help="No progress.")
def measure_command(
    data: str,
    model: str,
    out: str,
    engine: str,
    samples: int,
    temperature: float,
    max_new_tokens: int,
    recipe: str,
    seed: int,
    step: int,
    quiet: bool,
    **pool: object,
) -> None:
    """Sample a model on every problem of a pool in both conditions and grade within 1 %.

    What OUT/gap.jsonl holds about this recipe, seed and step already is not sampled again.
    """
    from rap_plugin.config import ModelConfig, PoolConfig
    from rap_plugin.modality_gap.measure import State, measure

    done = measure(
        ModelConfig(id=model, engine=engine),
        PoolConfig.model_validate({"path": data, **{k: v for k, v in pool.items() if v is not None}}),
        out,
        state=State(recipe, seed, step),
        samples=samples,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        quiet=quiet,
    )
    note = f", {done.quarantined:,} rows could not be used" if done.quarantined else ""
    note += f", {done.failed:,} prompts were not answered (the same command asks again)" if done.failed else ""
    click.echo(f"{done.problems:,} problems, {done.sampled:,} responses sampled{note}: {done.path}")


@click.command("report", short_help="Draw accuracies, gap, agreement and length.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN..")
@click.option("--out", type=click.Path(dir_okay=False), help="The HTML file [RUN/gap.html of the first].")
def report_command(runs: tuple[str, ...], out: str | None) -> None:
    """Put RUNs into one table and one HTML file: trainings, measurements, and results of lmms-eval and rap-vlmeval.

    Of evaluation hosts the pairs are PGPS9K's two tasks, MathVerse's text dominant and vision only, and all its versions.
    """
    from rap_plugin.errors import RapError
    from rap_plugin.modality_gap.host_results import read_all
    from rap_plugin.modality_gap.report import last_points, page, points_of

    paths = [Path(os.path.expanduser(run)) for run in runs]
    records, problems = read_all(paths)
    for problem in problems:
        click.echo(f"rap: left out: {problem}", err=True)
    for point in last_points(points_of(records)):
        gap = point.gap
        p = "p < 0.001" if gap.p < 0.001 else f"p = {gap.p:.3f}"
        click.echo(
            f"{point.recipe}, step {point.step:,}: text {100 * gap.text:.1f} %, image {100 * gap.image:.1f} %, gap "
            f"{100 * gap.gap:+.1f} ({100 * gap.low:+.1f} .. {100 * gap.high:+.1f}, {p}), {gap.problems:,} problems"
        )
    target = Path(os.path.expanduser(out)) if out else (paths[0] if paths[0].is_dir() else paths[0].parent) / "gap.html"
    try:
        target.write_text(page(records, problems), encoding="utf-8", errors="replace")
    except OSError as error:
        raise RapError(
            f"{target}: cannot be written ({error.strerror or error}); name another file with --out"
        ) from None
    click.echo(f"written to {target}")
