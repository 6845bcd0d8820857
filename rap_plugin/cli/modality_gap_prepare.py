"""`rap modality-gap prepare`."""

from __future__ import annotations

import click

CONDITIONS = ("text", "image", "mix", "contrastive")
FORMS = ("verl", "openrlhf", "trl")


@click.command("prepare", short_help="Write a pool with facts in one condition.")
@click.option("--data", required=True, metavar="FOLDER|POOL", help="PGPS9K's folder, or any pool with facts in words.")
@click.option("--condition", required=True, type=click.Choice(CONDITIONS), help="What the prompts show.")
@click.option("--out", required=True, metavar="FOLDER", help="Where to.")
@click.option(
    "--facts",
    metavar="COLUMN|FILE.PY:FUNCTION",
    help="Where the facts are; default: PGPS9K's clauses, or a column facts.",
)
@click.option(
    "--to", multiple=True, type=click.Choice(FORMS), help="Also for these trainers; verl's Parquet is always there."
)
@click.option(
    "--parity", is_flag=True, help="Clauses as the published code words them; rows that are there twice stay."
)
@click.option("--split", help="Split of the pool, and the name of what is written. Default: train, or both of PGPS9K.")
@click.option("--question", help="Column of the question, where detection is wrong.")
@click.option("--answer", help="Column of the gold answer.")
@click.option("--images", help="Column of the image or images.")
@click.option("--image-root", metavar="FOLDER", help="Where relative image paths start.")
@click.option("--limit", type=click.IntRange(min=1), help="Use the first N rows only.")
def command(
    data: str, condition: str, out: str, facts: str | None, to: tuple[str, ...], parity: bool, **pool: object
) -> None:
    """Write a pool whose facts are known in words in a condition of the modality gap, images byte for byte.

    text: facts, then the question. image: the question alone. mix: both, one after the other. contrastive: both prompts of
    every problem in one row. Rows that cannot be used are in quarantine.parquet, dropped clauses are counted.
    """
    from rap_plugin.config import PoolConfig
    from rap_plugin.modality_gap.prepare import prepare

    options = PoolConfig.model_validate({"facts": facts, **{k: v for k, v in pool.items() if v is not None}})
    for split in prepare(data, condition, out, parity=parity, pool=options, to=to):
        click.echo(f"{split.split}: {split.rows:,} rows of {split.problems:,} problems: {split.path}")
        if split.clauses is not None:
            told = split.clauses
            click.echo(
                f"  clauses: {told['facts']:,} in words, {told['silent']:,} that add nothing, {told['unreadable']:,} unreadable"
                + (f", such as {told['examples'][0]}" if told["examples"] else "")
            )
        if split.quarantined:
            counts = ", ".join(f"{number:,} {status}" for status, number in split.quarantined.items())
            click.echo(f"  quarantined: {counts}")
