"""`rap data prepare`: a benchmark's own files or hub repository as the Parquet files that both hosts read."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rap_plugin.errors import RapError, one_line
from rap_plugin.evaluation.benchmarks import Benchmark
from rap_plugin.evaluation.prepared_data import (
    LAYOUT,
    SCHEMA,
    VARIABLE,
    ContentHash,
    data_dir,
    how_to_prepare,
    part_file,
    read_manifest,
    row_of,
)
from rap_plugin.evaluation.release import ReleaseImages, open_data_files, opened_release
from rap_plugin.progress import step
from rap_plugin.samples.formats.base import RowProblem
from rap_plugin.samples.images import check_image
from rap_plugin.samples.pool import BadRow, Pool
from rap_plugin.samples.sample import ImageProblem

BATCH = 32
MAX_PIXELS = 200_000_000
"""HR-Bench 8K and MME-RealWorld have images of tens of megapixels; more than this is damage or malice."""


@dataclass
class Preparation:
    """What was written."""

    benchmark: Benchmark
    source: str
    revision: str
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """by file name without ending: rows, expected, content_sha256, source, revision"""
    refused: list[dict[str, str]] = field(default_factory=list)
    """rows that could not be used: part, id, reason"""


def prepare_from_folder(benchmark: Benchmark, origin: Path, folder: Path) -> Preparation:
    """Reads the data files in `origin` (a folder, or a .zip), at any depth, as the benchmark's owner publishes them.

    Rows that cannot be used are listed in FOLDER/NAME/refused.jsonl with the reason; parts that were prepared before
    and are not in `origin` stay. Raises RapError when no row belongs to the benchmark.
    """
    with opened_release(origin) as release:
        pools = open_data_files(benchmark, release)
        return _write(benchmark, pools, ReleaseImages(release), folder, str(origin), "folder")


def prepare_from_hub(
    benchmark: Benchmark, folder: Path, hub: str | None = None, revision: str | None = None
) -> Preparation:
    """Downloads the benchmark's repositories (or `hub` in their place) through `datasets`, at one commit each."""
    if not benchmark.sources:
        raise RapError(f"{benchmark.title} is not on the hub: `rap data prepare {benchmark.name} --from FOLDER`")
    try:
        import datasets
        from huggingface_hub import HfApi
    except ImportError:
        raise RapError("the hub needs the datasets library: pip install 'rap-plugin[datasets]'") from None
    from rap_plugin.samples.containers.arrow import ArrowPool

    pools: list[tuple[str, Pool]] = []
    commits: dict[str, str] = {}
    for source in benchmark.sources:
        name, commit = first_on_hub(
            (hub,) if hub else source.names, lambda name: str(HfApi().dataset_info(name, revision=revision).sha)
        )
        commit = commits.setdefault(name, commit)
        try:
            rows = datasets.load_dataset(name, source.config, split=source.split, revision=commit)
        except Exception as error:
            raise _not_given(name, error) from None
        place = "/".join(filter(None, (name, source.config, source.split)))
        pools.append((place, ArrowPool([rows.data.table], [], name, Path.cwd(), "hub")))
    images = ReleaseImages(None)
    return _write(benchmark, pools, images, folder, ", ".join(commits), ", ".join(commits.values()))


def first_on_hub(names: Sequence[str], commit_of: Callable[[str], str]) -> tuple[str, str]:
    """(name, commit) of the first of these repositories that the hub has: owners move, and leave the old name or take
    it with them. Raises RapError about the first name when it has none."""
    problem: RapError | None = None
    for name in names:
        try:
            return name, commit_of(name)
        except Exception as error:
            problem = problem or _not_given(name, error)
    raise problem or RapError("no repository named")


def _not_given(name: str, error: Exception) -> RapError:
    line = one_line(error, 160)
    return RapError(f"{name}: the hub did not give it ({line}); check the network, or give --from FOLDER")


def _write(
    benchmark: Benchmark,
    pools: Sequence[tuple[str, Pool]],
    images: ReleaseImages,
    folder: Path,
    source: str,
    revision: str,
) -> Preparation:
    done = Preparation(benchmark, source, revision)
    home = folder / benchmark.name
    home.mkdir(parents=True, exist_ok=True)
    writers: dict[str, _PartWriter] = {}
    try:
        with step(f"prepare {benchmark.name}", sum(len(pool) for _, pool in pools), "rows") as advance:
            for part, row in _usable_rows(benchmark, pools, images, done.refused, advance):
                name = part or "test"
                if name not in writers:
                    writers[name] = _PartWriter(home / f"{name}.parquet.partial")
                writers[name].add(row)
        if not writers:
            reason = f", as {done.refused[0]['reason']}" if done.refused else ""
            raise RapError(f"{source}: no row of it can be used as {benchmark.title}{reason}")
        for name, writer in writers.items():
            part = "" if name == "test" else name
            writer.close()
            os.replace(writer.path, part_file(benchmark, part, folder))
            done.parts[name] = {
                "rows": writer.rows,
                "expected": benchmark.part(part).rows,
                "content_sha256": writer.digest.hexdigest(),
                "source": source,
                "revision": revision,
            }
    finally:
        for writer in writers.values():
            writer.abandon()
    _write_manifest(home, done)
    return done


def _usable_rows(
    benchmark: Benchmark,
    pools: Sequence[tuple[str, Pool]],
    images: ReleaseImages,
    refused: list[dict[str, str]],
    advance: Callable[[int], None],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(part, prepared row) of every row in every part that it belongs to; the others are added to `refused`."""
    for where, pool in pools:
        for number, row in _rows(pool):
            advance(1)
            place = f"{where}:{number}"
            if isinstance(row, BadRow):
                refused.append({"part": "", "id": place, "reason": row.reason})
                continue
            for part in benchmark.parts_of(row, where):
                try:
                    yield part, _prepared_row(benchmark, {**row, "rap_row": str(number)}, part, images, pool.root)
                except (RowProblem, ImageProblem) as problem:
                    reason = getattr(problem, "reason", str(problem))
                    refused.append({"part": part, "id": place, "reason": reason})


def _prepared_row(benchmark: Benchmark, row: Any, part: str, images: ReleaseImages, root: Path) -> dict[str, Any]:
    """Raises RowProblem or ImageProblem for a row that cannot be used."""
    item = benchmark.read(row, part)
    if not item.gold:
        raise RowProblem("the gold answer is empty")
    if item.image is None:
        return row_of(item, None)
    image = images.read(item.image, root)
    check_image(image, MAX_PIXELS)
    return row_of(item, image)


def _rows(pool: Pool) -> Iterator[tuple[int, Any]]:
    for start in range(0, len(pool), BATCH):
        numbers = range(start, min(start + BATCH, len(pool)))
        yield from zip(numbers, pool.rows(list(numbers)), strict=True)


class _PartWriter:
    """Writes rows in small groups, so that no part is ever whole in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self.digest = ContentHash()
        self._writer = pq.ParquetWriter(path, SCHEMA)
        self._held: list[dict[str, Any]] = []
        self._ids: Counter[str] = Counter()
        self._open = True

    def add(self, row: dict[str, Any]) -> None:
        """A second row with the same id gets "#2" behind it: results are matched by id."""
        self._ids[row["id"]] += 1
        if self._ids[row["id"]] > 1:
            row["id"] = f"{row['id']}#{self._ids[row['id']]}"
        self.digest.add(row)
        self._held.append(row)
        self.rows += 1
        if len(self._held) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_pylist(self._held, schema=SCHEMA))
            self._held = []

    def close(self) -> None:
        """Writes what is held and ends the file."""
        if self._open:
            self._flush()
            self._writer.close()
            self._open = False

    def abandon(self) -> None:
        """Leaves nothing behind when the file was not put in its place."""
        if self._open:
            self._writer.close()
            self._open = False
        self.path.unlink(missing_ok=True)


def _write_manifest(home: Path, done: Preparation) -> None:
    """Parts that were prepared earlier and not now keep their facts."""
    path = home / "manifest.json"
    kept: dict[str, Any] = {}
    try:
        before = json.loads(path.read_text("utf-8"))
        if before["layout"] == LAYOUT:
            kept = dict(before["parts"])
    except (OSError, ValueError, KeyError, TypeError):
        kept = {}
    manifest = {
        "layout": LAYOUT,
        "benchmark": done.benchmark.name,
        "parts": {**kept, **done.parts},
        "refused": len(done.refused),
    }
    with (home / "refused.jsonl").open("w", encoding="utf-8") as file:
        for row in done.refused:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    temporary = path.with_suffix(".json.partial")
    temporary.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", "utf-8")
    os.replace(temporary, path)


def require_part(benchmark: Benchmark, part: str) -> tuple[Path, dict[str, Any]]:
    """(Parquet file, facts about the part for result files) of a prepared part.

    Without $RAP_DATA_DIR a benchmark that is not prepared yet is fetched from its hub repository into the cache; with
    it nothing is ever fetched. Raises RapError saying how to get the data.
    """
    fetch = not os.environ.get(VARIABLE) and benchmark.sources
    if fetch and not part_file(benchmark, part).is_file():
        prepare_from_hub(benchmark, data_dir())
    manifest = read_manifest(benchmark)
    facts = manifest["parts"].get(part or "test")
    path = part_file(benchmark, part)
    if facts is None or not path.is_file():
        raise RapError(how_to_prepare(benchmark, None, part))
    return path, {
        "benchmark": benchmark.name,
        "part": part,
        "dataset": facts["source"],
        "revision": facts["revision"],
        "rows": facts["rows"],
        "content_sha256": facts["content_sha256"],
    }
