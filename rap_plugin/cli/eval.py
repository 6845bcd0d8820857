"""`rap eval`."""

from __future__ import annotations

import os
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

    paths = [Path(os.path.expanduser(text)) for text in results]
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
        folder = Path(os.path.expanduser(out))
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in (
            ("compare.md", text),
            ("compare.csv", as_csv(comparison)),
            ("compare.html", page(comparison)),
        ):
            (folder / name).write_text(content, "utf-8")
        click.echo(f"written to {folder}")


OUTCOMES = ("read", "unread", "contradictory")


@command.command("read")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--outcome", type=click.Choice(OUTCOMES), help="Only answers with this outcome.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N of them.")
@click.option(
    "--judge", metavar="MODEL@URL", help="Ask this OpenAI-compatible server about unread and contradictory answers."
)
def read(file: Path, outcome: str | None, limit: int | None, judge: str | None) -> None:
    """Print what was read in every answer of FILE, by which rule, and the words that decided.

    FILE is *_samples_*.jsonl of lmms-eval, a prediction file of rap-vlmeval or its *_rap_scores.json, or JSON lines with
    `response` and `answer` (and `question`, `options`, `kind`, where there are any). RAP_JUDGE_KEY holds the judge's key.
    """
    import shutil
    from collections import Counter

    from rap_plugin.errors import RapError
    from rap_plugin.evaluation.judge import KEY_VARIABLE, VARIABLE, judge_from_environment
    from rap_plugin.evaluation.shown_answers import read_answers

    asked = None
    if judge is not None:
        try:
            asked = judge_from_environment({VARIABLE: judge, KEY_VARIABLE: os.environ.get(KEY_VARIABLE, "")})
        except RapError as error:
            raise RapError(str(error).replace(f"{VARIABLE}=", "--judge ").replace(VARIABLE + ":", "--judge:")) from None
    width = shutil.get_terminal_size((80, 24)).columns
    marks = (click.style("\0", fg="green", bold=True, reset=False).rstrip("\0"), click.style("", reset=True))
    counts: Counter[str] = Counter()
    judged = printed = 0
    for answer in read_answers(file, asked):
        counts[answer.outcome] += 1
        judged += bool(answer.record.get("judged"))
        if outcome not in (None, answer.outcome) or (limit is not None and printed >= limit):
            continue
        printed += 1
        click.secho(answer.heading(), bold=True)
        for line in answer.excerpt(width, f"{marks[0]}[", f"]{marks[1]}"):
            click.echo(line)
    said = ", ".join(f"{counts[name]:,} {name}" for name in OUTCOMES)
    click.echo(f"{sum(counts.values()):,} answers: {said}{f', {judged:,} judged' if asked else ''}")
