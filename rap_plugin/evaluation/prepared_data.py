"""Prepared benchmarks on disk: one Parquet file per part with the content of its items, and a manifest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rap_plugin.errors import RapError, one_line
from rap_plugin.evaluation.benchmarks import BENCHMARKS, Benchmark, find_benchmark
from rap_plugin.evaluation.item import BenchmarkItem

VARIABLE = "RAP_DATA_DIR"
LAYOUT = 1
"""Raised when the columns below change; data of another layout is refused."""

_FEATURES = {
    "id": {"dtype": "string", "_type": "Value"},
    "question": {"dtype": "string", "_type": "Value"},
    "gold": {"dtype": "string", "_type": "Value"},
    "kind": {"dtype": "string", "_type": "Value"},
    "options": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"},
    "precision": {"dtype": "int32", "_type": "Value"},
    "rtol": {"dtype": "float64", "_type": "Value"},
    "groups": {"dtype": "string", "_type": "Value"},
    "image": {"_type": "Image"},
}
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("question", pa.string()),
        ("gold", pa.string()),
        ("kind", pa.string()),
        ("options", pa.list_(pa.string())),
        ("precision", pa.int32()),
        ("rtol", pa.float64()),
        ("groups", pa.string()),
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ],
    metadata={b"huggingface": json.dumps({"info": {"features": _FEATURES}}).encode()},
)
"""`datasets` reads `image` as an image through the schema's metadata. `groups` is a JSON object."""


def data_dir(environment: Mapping[str, str] | None = None) -> Path:
    """$RAP_DATA_DIR, else rap_plugin/benchmarks in the user's cache folder."""
    values = os.environ if environment is None else environment
    if values.get(VARIABLE):
        return Path(os.path.expanduser(values[VARIABLE]))
    cache = values.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(cache)) / "rap_plugin" / "benchmarks"


def part_file(benchmark: Benchmark, part: str, folder: Path | None = None) -> Path:
    """Where the rows of a part are: FOLDER/mathverse/vision_only.parquet, FOLDER/mmstar/test.parquet."""
    return (folder or data_dir()) / benchmark.name / f"{part or 'test'}.parquet"


def read_manifest(benchmark: Benchmark, folder: Path | None = None) -> dict[str, Any]:
    """What `rap data prepare` recorded. Raises RapError when there is none or it is of another layout."""
    path = (folder or data_dir()) / benchmark.name / "manifest.json"
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise RapError(how_to_prepare(benchmark, folder)) from None
    except (OSError, ValueError) as error:
        raise RapError(f"{path}: cannot be read ({error}); prepare the benchmark again") from None
    if not isinstance(manifest, dict) or manifest.get("layout") != LAYOUT:
        found = manifest.get("layout") if isinstance(manifest, dict) else None
        raise RapError(f"{path}: layout {found}, this version reads {LAYOUT}; prepare {benchmark.name} again")
    return manifest


def how_to_prepare(benchmark: Benchmark, folder: Path | None, part: str = "") -> str:
    name = f"{benchmark.title}{f', part {part},' if part else ''}"
    origin = benchmark.sources[0].hub if benchmark.sources else "FOLDER"
    own = "" if benchmark.sources else "; you bring this data yourself"
    return f"{name} is not in {folder or data_dir()}: `rap data prepare {benchmark.name} --from {origin}`{own}"


def read_items(path: Path, *, images: bool = True) -> Iterator[BenchmarkItem]:
    """The items of a prepared part in order; `image` is the encoded file, or None. Reads the whole file."""
    columns = [name for name in SCHEMA.names if images or name != "image"]
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=64, columns=columns):
                yield from (item_of(row) for row in batch.to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise RapError(f"{path}: cannot be read ({one_line(error)}); prepare the benchmark again") from None


def item_of(row: Mapping[str, Any]) -> BenchmarkItem:
    """The item of a prepared row, as Parquet, `datasets` or a TSV gives it back."""
    image = row.get("image")
    return BenchmarkItem(
        id=str(row["id"]),
        question=str(row["question"]),
        gold=str(row["gold"]),
        kind=row["kind"],
        options=tuple(row["options"] or ()),
        precision=None if row["precision"] is None else int(row["precision"]),
        rtol=float(row["rtol"] or 0.0),
        groups=json.loads(row["groups"]),
        image=image.get("bytes") if isinstance(image, dict) else image,
    )


def row_of(item: BenchmarkItem, image: bytes | None) -> dict[str, Any]:
    """The prepared row of an item."""
    return {
        "id": item.id,
        "question": item.question,
        "gold": item.gold,
        "kind": item.kind,
        "options": list(item.options),
        "precision": item.precision,
        "rtol": item.rtol,
        "groups": json.dumps(dict(item.groups), sort_keys=True, ensure_ascii=False),
        "image": None if image is None else {"bytes": image, "path": None},
    }


class ContentHash:
    """SHA-256 over rows in order: what they say and their images' bytes, whatever the file format."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, row: Mapping[str, Any]) -> None:
        """One more row."""
        image = (row["image"] or {}).get("bytes")
        facts = {name: value for name, value in row.items() if name != "image"}
        facts["image"] = None if image is None else hashlib.sha256(image).hexdigest()
        self._digest.update(json.dumps(facts, sort_keys=True, ensure_ascii=True).encode() + b"\n")

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return self._digest.hexdigest()


def content_hash(path: Path) -> str:
    """The content hash of a prepared part, computed again."""
    digest = ContentHash()
    for item in read_items(path):
        digest.add(row_of(item, item.image))
    return digest.hexdigest()


def read_manifests(folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """Manifests of all benchmarks in a data folder, by name; those of another layout left out."""
    found = {}
    for name in BENCHMARKS:
        try:
            found[name] = read_manifest(find_benchmark(name), folder)
        except RapError:
            continue
    return found
