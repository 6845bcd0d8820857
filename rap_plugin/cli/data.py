"""`rap data`."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.group("data", short_help="Prepare benchmarks for lmms-eval and VLMEvalKit.")
def command() -> None:
    """Prepare benchmarks, so that their tasks run offline in lmms-eval and VLMEvalKit.

    Preparation data goes to --out, else to $RAP_DATA_DIR, else to the user's cache folder.
    """


@command.command("prepare")
@click.argument("name")
@click.option("--from", "origin", required=True, metavar="FOLDER|HUB_ID", help="Where the benchmark's own files are.")
@click.option("--revision", help="Branch, tag or commit on the hub.")
@click.option("--out", type=click.Path(file_okay=False), help="Data folder to write to.")
def prepare(name: str, origin: str, revision: str | None, out: str | None) -> None:
    """Write benchmark NAME to the data folder and check it: counts, content hash, every image decoded."""
    from rap_plugin.evaluation.benchmarks import find_benchmark
    from rap_plugin.evaluation.prepare import prepare_from_folder, prepare_from_hub
    from rap_plugin.evaluation.prepared_data import data_dir

    benchmark = find_benchmark(name)
    folder = Path(os.path.expanduser(out)) if out else data_dir()
    if Path(os.path.expanduser(origin)).exists() or origin.startswith((".", "/", "~")):
        done = prepare_from_folder(benchmark, Path(os.path.expanduser(origin)), folder)
    else:
        known = {source.hub for source in benchmark.sources}
        done = prepare_from_hub(benchmark, folder, None if origin in known else origin, revision)
    for part, facts in sorted(done.parts.items()):
        note = "" if facts["rows"] == facts["expected"] else f" (the official release has {facts['expected']:,})"
        click.echo(f"{name}/{part}: {facts['rows']:,} rows{note}, content {facts['content_sha256'][:12]}")
    missing = [part.name or "test" for part in benchmark.parts if (part.name or "test") not in done.parts]
    if missing:
        click.echo(f"{name}: nothing for {', '.join(missing)} in {origin}")
    if done.refused:
        first = done.refused[0]
        listing = folder / name / "refused.jsonl"
        click.echo(f"{name}: {len(done.refused):,} rows refused, listed in {listing}; the first: {first['reason']}")
    click.echo(f"written to {folder / name}")


@command.command("list")
@click.option("--out", type=click.Path(file_okay=False), help="Data folder to look into.")
@click.option("--check", is_flag=True, help="Read everything and compare the content hashes.")
def list_(out: str | None, check: bool) -> None:
    """Say which benchmarks are prepared, with counts and content hashes."""
    from rap_plugin.errors import RapError
    from rap_plugin.evaluation.benchmarks import BENCHMARKS
    from rap_plugin.evaluation.prepared_data import content_hash, data_dir, part_file, read_manifests

    folder = Path(os.path.expanduser(out)) if out else data_dir()
    found = read_manifests(folder)
    changed = []
    for name, benchmark in BENCHMARKS.items():
        parts = found.get(name, {}).get("parts", {})
        for part in benchmark.parts:
            facts = parts.get(part.name or "test")
            label = f"{name}/{part.name or 'test'}"
            if facts is None:
                click.echo(f"{label:<28} -")
                continue
            state = ""
            if check:
                path = part_file(benchmark, part.name, folder)
                same = path.is_file() and content_hash(path) == facts["content_sha256"]
                state = " as recorded" if same else " CHANGED"
                changed += [] if same else [label]
            rows = f"{facts['rows']:,} of {facts['expected']:,} rows"
            click.echo(f"{label:<28} {rows:<22} {facts['content_sha256'][:12]}{state}")
    if changed:
        raise RapError(f"{', '.join(changed)}: not what was prepared; run `rap data prepare` again")
