"""`rap demo`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from rap_plugin.cli.tables import print_table


@click.command("demo", short_help="Run the whole job on the embedded model and pool.")
@click.option(
    "--out", default="demo-run", show_default=True, metavar="RUN", help="Run directory; one that exists is continued."
)
@click.option("--limit", type=click.IntRange(min=1), help="Use the first N problems only.")
@click.option("--extend", is_flag=True, help="Go on in RUN with another number of problems.")
@click.option("--quiet", is_flag=True, help="No progress, only the tables.")
def command(out: str, limit: int | None, extend: bool, quiet: bool) -> None:
    """Run `rap select` on the embedded model and pool, and hold its verdicts against the known roles.

    The pool asks about handwritten digits; each problem's role says what a selection should make of it.
    """
    from rap_plugin.pipeline.select import select_run
    from rap_plugin.pipeline.summary import print_summary

    result = select_run(demo_config(limit), out, extend=extend, quiet=quiet)
    print_summary(result)
    print_roles(result)


def demo_config(limit: int | None = None) -> Any:
    """The configuration of the demo: the paper's, with a response limit and a batch that suit a small model."""
    from rap_plugin.config import load_config
    from rap_plugin.demo import MODEL_DIR, POOL_PATH

    return load_config(
        flags={
            "pool.path": str(POOL_PATH),
            "pool.limit": limit,
            "model.id": str(MODEL_DIR),
            # The embedded model was trained on its own prompts, which end with the question.
            "prompt.instruction": "",
            "sampling.max_new_tokens": 64,
            "model.batch_size": 320,
        }
    )


def print_roles(result: Any) -> None:
    """Verdicts against roles, recall, what each part of RAP did, and the cost; all from this run."""
    from rich.console import Console
    from rich.table import Table

    from rap_plugin.run_dir.files import open_store
    from rap_plugin.run_dir.tables import cost_of
    from rap_plugin.samples.opening import open_pool

    console = Console()
    selection = result.selection
    pool = open_pool(selection.config.pool)
    rows = selection.table.rows.tolist()
    known = pool.rows(rows)
    roles = [row["role"] for row in known]
    needs_image = [bool(row["needs_image"]) for row in known]
    verdicts = selection.decision.verdicts.tolist()

    counts = Counter(zip(roles, verdicts, strict=True))
    shown = list(selection.decision.counts())
    table = Table(title="verdicts against the known roles", box=None, pad_edge=False, title_justify="left")
    table.add_column("role")
    for verdict in shown:
        table.add_column(verdict.replace("_", "\n"), justify="right")
    table.add_column("all", justify="right")
    for role in sorted(set(roles)):
        numbers = [counts[role, verdict] for verdict in shown]
        table.add_row(role, *(f"{number:,}" if number else "·" for number in numbers), f"{sum(numbers):,}")
    console.print()
    print_table(table)

    core = [i for i, verdict in enumerate(verdicts) if verdict == "selected"]
    given = [i for i, role in enumerate(roles) if role == "given_away"]
    target = [i for i, role in enumerate(roles) if role == "needs_image"]
    chosen = set(core) | {i for i, verdict in enumerate(verdicts) if verdict == "hard_replacement"}
    tally = Counter(verdicts)
    facts = [
        f"given away by their text and still in the core: {_share(len(set(core) & set(given)), len(given))}",
        f"core that needs the image: {_share(sum(needs_image[i] for i in core), len(core))}, "
        f"of the pool: {_share(sum(needs_image), len(needs_image))}",
        f"recall of the role needs_image: {_share(len(chosen & set(target)), len(target))} "
        f"(with the easy ones that DRM took out: {_share(sum(verdicts[i] in ('selected', 'hard_replacement', 'easy') for i in target), len(target))})",
        f"CDE removed {tally['language_prior']:,}, ACE removed {tally['attention_biased']:,}, "
        f"DRM removed {tally['easy']:,} easy and added {tally['hard_replacement']:,} hard; never solved {tally['unsolved'] + tally['cut_off']:,}",
    ]
    with open_store(result.run) as store:
        total = cost_of(store)["total"]
    facts.append(
        f"cost: {total['rollouts']:,} rollouts, {total['response_tokens']:,} response tokens, {total['seconds']:.0f} s; "
        f"report: {Path(result.run) / 'report.html'}"
    )
    for fact in facts:
        console.print(fact, highlight=False, markup=False, soft_wrap=True)


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({part / whole:.1%})" if whole else "0 of 0"
