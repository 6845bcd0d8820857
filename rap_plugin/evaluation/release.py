"""A benchmark's release on disk: its data files, and its images by path or by name alone."""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from rap_plugin.config import PoolConfig
from rap_plugin.errors import RapError, one_line
from rap_plugin.evaluation.benchmarks import Benchmark
from rap_plugin.samples.images import FirstOf, image_bytes
from rap_plugin.samples.open_file import SUFFIXES, open_file
from rap_plugin.samples.opening import open_pool
from rap_plugin.samples.pool import Pool
from rap_plugin.samples.sample import ImageProblem

MAX_UNPACKED_RATIO = 20
"""Images and their texts hardly shrink in a zip: an archive that grows more than this is no release."""
MIN_UNPACKED_LIMIT = 1 << 30


@contextmanager
def opened_release(origin: Path) -> Iterator[Path]:
    """The folder of a release: `origin` itself, or what its .zip holds, unpacked for as long as it is needed.

    Raises RapError when there is nothing there, or the archive is damaged or not of a sane size.
    """
    if origin.is_dir():
        yield origin
        return
    if not origin.is_file() or origin.suffix.lower() != ".zip":
        raise RapError(f"{origin}: no such folder; give the folder or .zip of the benchmark's files, or a hub id")
    with tempfile.TemporaryDirectory(prefix="rap-release-") as home:
        try:
            with zipfile.ZipFile(origin) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
                if size > max(MIN_UNPACKED_LIMIT, MAX_UNPACKED_RATIO * origin.stat().st_size):
                    raise RapError(f"{origin}: {size / 2**30:.0f} GB unpacked; unpack it yourself and give the folder")
                # Under the archive's own name: file and folder names say which part a row belongs to.
                archive.extractall(Path(home, origin.stem))
        except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, OSError, RuntimeError) as error:
            raise RapError(f"{origin}: cannot be unpacked ({one_line(error, 100)}); is the file whole?") from None
        yield Path(home, origin.stem)


def open_data_files(benchmark: Benchmark, origin: Path) -> list[tuple[str, Pool]]:
    """(where, pool) of every data file at any depth, or of every split that `datasets` saved."""
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


class ReleaseImages:
    """Reads the images of a release. Its files often name an image without its folder: then the one file of that name
    anywhere below the release is meant. Without a root (rows of the hub) names are looked for nowhere."""

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._by_name: dict[str, list[Path]] | None = {} if root is None else None

    def read(self, reference: Any, root: Path) -> bytes:
        """The encoded image behind a reference of a row. Raises ImageProblem."""
        try:
            return image_bytes(reference, root, allow_urls=False)
        except ImageProblem:
            found = self._named(reference)
            if found is None:
                raise
            return image_bytes(str(found.absolute()), root, allow_urls=False)

    def _named(self, reference: Any) -> Path | None:
        if isinstance(reference, FirstOf):
            reference = reference.paths[0]
        if not isinstance(reference, str) or len(reference) > 1000:
            return None
        path = PurePosixPath(reference.replace("\\", "/"))
        ends = [found for found in self._files().get(path.name, []) if found.as_posix().endswith(f"/{path}")]
        found = ends or self._files().get(path.name, [])
        if len(found) > 1:
            raise ImageProblem("unreadable_image", f"{len(found)} files are named {path.name!r} below {self._root}")
        return found[0] if found else None

    def _files(self) -> dict[str, list[Path]]:
        if self._by_name is None:
            self._by_name = {}
            for folder, _, names in os.walk(self._root or ""):
                for name in names:
                    self._by_name.setdefault(name, []).append(Path(folder, name))
        return self._by_name
