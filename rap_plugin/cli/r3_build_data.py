"""`rap r3 build-data`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click

from rap_plugin.cli.options import config_options, flag_values
from rap_plugin.vlm_r3.coordinates import Scale

READ_TOGETHER = 64


@click.command("build-data")
@click.argument("pool")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@click.option("--boxes", metavar="COLUMN", help="Column with the boxes of the evidence [found by its name].")
@click.option(
    "--coordinates",
    type=click.Choice(get_args(Scale)),
    default="normalised",
    show_default=True,
    help="What the model writes: thousandths, pixels of the resized image (Qwen2.5-VL), pixels of the image.",
)
@click.option("--max-image-pixels", default=3_211_264, show_default=True, help="Of the model's processor, for resized.")
@config_options(["pool"])
def command(pool: str, out: Path, boxes: str | None, coordinates: Scale, max_image_pixels: int, **rest: Any) -> None:
    """Write interleaved rows for SFT (and rows for R-GRPO) from POOL, whose rows bring the boxes of their evidence."""
    from rap_plugin.config import load_config
    from rap_plugin.errors import RapError
    from rap_plugin.plugins import get_plugins, load_plugin_files
    from rap_plugin.samples.ingest import ingest
    from rap_plugin.samples.opening import open_pool
    from rap_plugin.vlm_r3.build_data import write_rows
    from rap_plugin.vlm_r3.coordinates import Frame

    plugin_files = list(rest.pop("plugin_files"))
    path, assignments = rest.pop("config_path"), rest.pop("assignments")
    given = {**flag_values(rest), "pool.path": pool, "plugins": plugin_files or None}
    config = load_config(path, given, assignments)
    load_plugin_files(config.plugins)
    opened = open_pool(config.pool)
    formats = get_plugins().registry().things["formats"]

    def rows() -> Iterator[Any]:
        waiting: list[Any] = []
        for sample in ingest(opened, config.pool, formats=formats):
            waiting.append(sample)
            if len(waiting) == READ_TOGETHER:
                yield from _with_rows(opened, waiting)
                waiting = []
        yield from _with_rows(opened, waiting)

    frame = Frame(coordinates, 28 if coordinates == "resized" else 1, max_pixels=max_image_pixels)
    counts = write_rows(rows(), out, frame, boxes=boxes)
    if not counts.kept:
        raise RapError(f"{pool}: no row could be used, reasons in {out / 'refused.jsonl'}")
    refused = ", ".join(f"{name} {count:,}" for name, count in counts.refused.most_common())
    click.echo(f"{counts.kept:,} rows in {out / 'sft.jsonl'} and {out / 'rl.jsonl'}")
    if refused:
        click.echo(f"refused, reasons in {out / 'refused.jsonl'}: {refused}")


def _with_rows(pool: Any, samples: list[Any]) -> Iterator[Any]:
    found = pool.rows([sample.row for sample in samples])
    yield from zip(found, samples, strict=True)
