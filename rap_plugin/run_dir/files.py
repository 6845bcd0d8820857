"""The files of a run directory. Each is written beside its place and moved there, so none is ever half a file."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from rap_plugin.config import StorageConfig
from rap_plugin.errors import Command, Option, RapError
from rap_plugin.evidence.snapshots import keeps_working_copy, working_store
from rap_plugin.evidence.store import EvidenceStore

LOCK = ".lock"
RUN = "run.json"
EVIDENCE = "evidence.sqlite"
SCORES = "scores.parquet"
SELECTED = "selected.parquet"
QUARANTINE = "quarantine.parquet"
REPORT = "report.html"
CARD = "README.md"
COST = "cost.json"

COPY_OF_WORKING_DIR = re.compile(r"/runtime_resources/working_dir_files/_ray_pkg_")
"""What paths have in common that lie where Ray unpacks a job's `working_dir`."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a path to write to; moves it to `path` when the block ends well, removes it otherwise."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        yield draft
        os.replace(draft, path)
    except OSError as error:
        if not path.parent.is_dir():
            raise RapError(
                f"{path.parent}: the folder is gone: it was removed or moved while rap worked in it"
            ) from None
        raise RapError(
            f"{path}: cannot write ({error.strerror or error}); evidence is kept, run the command again"
        ) from None
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Keeps other rap processes out of a run directory while the block runs; the lock ends with the process."""
    try:
        import fcntl
    except ImportError:  # not on Windows, where SQLite's own locks still keep rows whole
        yield
        return
    try:
        file = (run / LOCK).open("w")
    except OSError as error:
        raise RapError(
            f"{run}: cannot be written ({error.strerror}); change its permissions, or copy it and work on the copy"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RapError(f"{run}: another rap process is working here; wait for it or stop it") from None
        except OSError:
            pass  # a file system without locks
        yield


def in_job_copy(path: str | Path) -> bool:
    """Whether a path lies in Ray's copy of a job's working directory, whose name changes with the folder's content."""
    return COPY_OF_WORKING_DIR.search(f"{Path(path).absolute().as_posix()}/") is not None


def require_lasting(run: Path) -> None:
    """Raises RapError where a run directory would go with the Ray job that makes it."""
    if in_job_copy(run):
        raise RapError(
            f"{run}: lies in Ray's copy of the job's working directory, which Ray deletes and a resubmitted job does not see; "
            "choose another ",
            Option("out"),
            ", an absolute path that stays and that every node sees",
        )


@contextmanager
def writing_evidence(run: Path, config: StorageConfig, *, create: bool = False) -> Iterator[EvidenceStore]:
    """The evidence of a run for a command that adds to it: in the run directory, or in a working copy with snapshots.

    `create` makes it where it is missing. Raises RapError as `EvidenceStore` and `working_store` do.
    """
    file = run / EVIDENCE
    if not keeps_working_copy(run, config):
        with closing(EvidenceStore(file, create=create)) as store:
            yield store
        return
    if not create and not config.snapshots:
        EvidenceStore(file).close()  # one that is missing or damaged is an error, as ever
    with working_store(file, config, lambda text: print(f"rap: {text}", file=sys.stderr, flush=True)) as store:
        yield store


def open_evidence(run: Path) -> EvidenceStore:
    """The evidence of a run that was begun. Raises RapError where it is missing or holds nothing; nothing is made."""
    store = EvidenceStore(run / EVIDENCE)
    try:
        require_evidence(store, run)
    except RapError:
        store.close()
        raise
    return store


def require_evidence(store: EvidenceStore, run: Path) -> None:
    """Raises RapError where a store knows no pool."""
    if not store.pool_counts()[0]:
        raise RapError(
            f"{run / EVIDENCE}: holds no evidence; bring the file back from a copy, or make the run again with ",
            Command("rap select"),
        )


def open_store(run: Path) -> closing[EvidenceStore]:
    """The same for a `with` statement."""
    return closing(open_evidence(run))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes readable JSON."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
