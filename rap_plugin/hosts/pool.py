"""A host's data set as a pool: saved once below the run, images inside, so that the run needs the host no more.

What is saved can be decided, reported and exported again later, without the host and without the original files.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from rap_plugin.errors import Option, RapError, one_line
from rap_plugin.evidence.snapshots import live_file
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.run_dir import files

POOL = "pool"
"""Folder of the saved data set, below the run directory."""

SOURCE = "source.json"
"""Beside the saved data set: what it was made from."""


def open_run(run: Path) -> None:
    """Makes the run directory with an empty evidence store, which is what marks it as one; a run there is continued.

    Raises RapError where the folder cannot be made, or holds something else.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RapError(f"{run}: cannot be made ({error.strerror}); choose another ", Option("out")) from None
    if not (run / files.EVIDENCE).exists() and any(run.iterdir()):
        raise RapError(f"{run}: not empty and not a run directory of rap; choose another ", Option("out"))
    EvidenceStore(run / files.EVIDENCE, create=True).close()


def save_pool(dataset: Any, run: Path) -> Path:
    """Saves a `datasets.Dataset` below `run`, unless exactly it is there; returns its folder."""
    folder = run / POOL
    source = {"fingerprint": dataset._fingerprint, "rows": len(dataset), "columns": dataset.column_names}
    if _read(folder / SOURCE) == source:
        return folder

    def write(draft: Path) -> None:
        dataset.save_to_disk(str(draft))
        (draft / SOURCE).write_text(json.dumps(source, indent=2), encoding="utf-8")

    replace_folder(folder, write)
    return folder


def replace_folder(folder: Path, write: Callable[[Path], Any]) -> None:
    """Writes a folder beside its place and moves it there, so that it is never half a data set. Raises RapError."""
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        write(draft)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(draft, folder)
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise RapError(f"{folder}: cannot be written ({reason}); free some space there") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def row_numbers(run: Path) -> dict[str, int]:
    """Row number in the pool by sample id, of a run whose pool is read."""
    with closing(EvidenceStore(live_file(run / files.EVIDENCE), read_only=True)) as store:
        return {sample.id: sample.row for sample in store.samples()}


def questions(run: Path) -> dict[int, str]:
    """The question that a run asked of each row of its pool, by row number; none where its evidence is not there."""
    if not (run / files.EVIDENCE).is_file():
        return {}
    with closing(EvidenceStore(live_file(run / files.EVIDENCE), read_only=True)) as store:
        return {sample.row: sample.question for sample in store.samples()}


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
