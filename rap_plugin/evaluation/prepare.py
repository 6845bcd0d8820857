"""`rap data prepare`: a benchmark's own files or hub repository as the Parquet files that both hosts read."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rap_plugin.config import PoolConfig
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
from rap_plugin.progress import step
from rap_plugin.samples.formats.base import RowProblem
from rap_plugin.samples.images import check_image, image_bytes
from rap_plugin.samples.open_file import SUFFIXES, open_file
from rap_plugin.samples.opening import open_pool
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
    """Reads the data files in `origin`, at any depth, as the benchmark's own repository or release lays them out.

    Rows that cannot be used are listed in FOLDER/NAME/refused.jsonl with the reason; parts that were prepared before
    and are not in `origin` stay. Raises RapError when no row belongs to the benchmark.
    """
    pools = _pools_of(benchmark, origin)
    return _write(benchmark, pools, folder, str(origin), "folder")


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
        name = hub or source.hub
        try:
            if name not in commits:
                commits[name] = str(HfApi().dataset_info(name, revision=revision).sha)
            rows = datasets.load_dataset(name, source.config, split=source.split, revision=commits[name])
        except Exception as error:
            line = one_line(error, 160)
            raise RapError(
                f"{name}: the hub did not give it ({line}); check the network, or give --from FOLDER"
            ) from None
        place = "/".join(filter(None, (name, source.config, source.split)))
        pools.append((place, ArrowPool([rows.data.table], [], name, Path.cwd(), "hub")))
    return _write(benchmark, pools, folder, ", ".join(commits), ", ".join(commits.values()))


def _pools_of(benchmark: Benchmark, origin: Path) -> list[tuple[str, Pool]]:
    """(where, pool) of every data file, or of every split that `datasets` saved."""
    if not origin.is_dir():
        raise RapError(f"{origin}: no such folder; give the folder of the benchmark's files, or a hub id")
    if (origin / "dataset_dict.json").is_file() or (origin / "state.json").is_file():
        splits = [path.parent for path in sorted(origin.rglob("state.json"))]
        named = [path for path in splits if _is_data_file(benchmark, path.relative_to(origin).as_posix() + "/")]
        return [(f"{path.name}/", open_pool(PoolConfig(path=str(path)))) for path in named or splits]
    files = [path for path in sorted(origin.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file()]
    named = [path for path in files if _is_data_file(benchmark, path.relative_to(origin).as_posix())]
    chosen = named or files
    if not chosen:
        raise RapError(f"{origin}: no data file (JSON, JSONL, CSV, TSV, Parquet, Arrow); is it the right folder?")
    found = []
    for path in chosen:
        pool = open_file(path, PoolConfig(path=str(path)))
        pool.root = origin
        found.append((f"{origin.name}/{path.relative_to(origin).as_posix()}", pool))
    return found


def _is_data_file(benchmark: Benchmark, name: str) -> bool:
    return bool(benchmark.files) and re.search(benchmark.files, name) is not None


def _write(
    benchmark: Benchmark, pools: Iterable[tuple[str, Pool]], folder: Path, source: str, revision: str
) -> Preparation:
    done = Preparation(benchmark, source, revision)
    home = folder / benchmark.name
    home.mkdir(parents=True, exist_ok=True)
    writers: dict[str, _PartWriter] = {}
    held = list(pools)
    try:
        with step(f"prepare {benchmark.name}", sum(len(pool) for _, pool in held), "rows") as advance:
            for where, pool in held:
                for number, row in _rows(pool):
                    advance(1)
                    _place(benchmark, where, pool, number, row, home, writers, done)
        if not any(writer.rows for writer in writers.values()):
            reason = f", as {done.refused[0]['reason']}" if done.refused else ""
            raise RapError(f"{source}: no row of it can be used as {benchmark.title}{reason}")
        for name, writer in writers.items():
            writer.close()
            if writer.rows:
                os.replace(writer.path, part_file(benchmark, "" if name == "test" else name, folder))
                expected = benchmark.part("" if name == "test" else name).rows
                done.parts[name] = {
                    "rows": writer.rows,
                    "expected": expected,
                    "content_sha256": writer.digest.hexdigest(),
                    "source": source,
                    "revision": revision,
                }
    finally:
        for writer in writers.values():
            writer.abandon()
    _write_manifest(home, done)
    return done


def _rows(pool: Pool) -> Iterator[tuple[int, Any]]:
    for start in range(0, len(pool), BATCH):
        numbers = range(start, min(start + BATCH, len(pool)))
        yield from zip(numbers, pool.rows(list(numbers)), strict=True)


def _place(
    benchmark: Benchmark,
    where: str,
    pool: Pool,
    number: int,
    row: Any,
    home: Path,
    writers: dict[str, _PartWriter],
    done: Preparation,
) -> None:
    """Puts a row into the parts that it belongs to, or among the refused ones."""
    if isinstance(row, BadRow):
        done.refused.append({"part": "", "id": f"{where}:{number}", "reason": row.reason})
        return
    row = {**row, "rap_row": str(number)}
    for part in benchmark.parts_of(row, where):
        try:
            item = benchmark.read(row, part)
            if not item.gold:
                raise RowProblem("the gold answer is empty")
            image = None
            if item.image is not None:
                image = image_bytes(item.image, pool.root, allow_urls=False)
                check_image(image, MAX_PIXELS)
        except (RowProblem, ImageProblem) as problem:
            reason = getattr(problem, "reason", str(problem))
            done.refused.append({"part": part, "id": f"{where}:{number}", "reason": reason})
            continue
        name = part or "test"
        if name not in writers:
            writers[name] = _PartWriter(home / f"{name}.parquet.partial")
        writers[name].add(row_of(item, image))


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
