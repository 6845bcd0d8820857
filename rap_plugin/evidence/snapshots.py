"""Evidence on the driver's own disk, with whole copies of it in a place that stays.

For run directories on file systems that SQLite should not write to, and for snapshots in an object store. The working copy
is an ordinary evidence file; every so often the whole of it is copied to the run directory or to a URL, so that the place
holds one complete state or the next, never a half. A command that is killed hard loses at most what came after the last
snapshot, and not even that where it starts again on the same machine.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from rap_plugin.config import StorageConfig
from rap_plugin.errors import RapError, one_line
from rap_plugin.evidence.filesystem import kind_of
from rap_plugin.evidence.store import EvidenceStore

log = logging.getLogger(__name__)

TOKENS = "snapshot_tokens"
"""Name in the store's facts: the marks of the last snapshots, newest last. A working copy goes on from a snapshot that has one of its
marks; any other one was made elsewhere since."""

COPY = "snapshot.sqlite"
"""Beside a working copy: its snapshot on the way."""

SHARE_OF_TIME = 10
"""Work lasts at least so many times as long as the snapshot before it took, however often they are wanted."""


class Place(Protocol):
    """Where snapshots are kept."""

    name: str

    def fetch(self, file: Path) -> bool:
        """Brings the snapshot to a local file; False where there is none."""

    def put(self, file: Path) -> None:
        """Replaces the snapshot by a local file, in one step."""


class FolderPlace:
    """A file in a folder: written beside its place and moved there."""

    def __init__(self, target: Path) -> None:
        self.name, self._target = str(target), target

    def fetch(self, file: Path) -> bool:
        if not self._target.is_file() or not self._target.stat().st_size:
            return False
        if list(self._target.parent.glob(f"{self._target.name}-*")):
            # Written in place by a command that was killed: its journal holds a part of it.
            EvidenceStore(self._target).close()
        shutil.copyfile(self._target, file)
        return True

    def put(self, file: Path) -> None:
        draft = self._target.with_name(f".{self._target.name}.{os.getpid()}.draft")
        try:
            with file.open("rb") as source, draft.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 22)
                copy.flush()
                os.fsync(copy.fileno())
            os.replace(draft, self._target)
        finally:
            draft.unlink(missing_ok=True)


class UrlPlace:
    """A file behind any URL that fsspec knows; uploaded beside its place and moved there."""

    def __init__(self, url: str, file_name: str) -> None:
        try:
            import fsspec

            self._files, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise RapError(f"storage.snapshots {url}: {one_line(error)}; install what fsspec needs for it") from None
        self.name, self._target = url, f"{root.rstrip('/')}/{file_name}"

    def fetch(self, file: Path) -> bool:
        try:
            self._files.get_file(self._target, str(file))
        except FileNotFoundError:
            return False
        return True

    def put(self, file: Path) -> None:
        folder, _, name = self._target.rpartition("/")
        self._files.makedirs(folder, exist_ok=True)
        draft = f"{folder}/.{name}.{secrets.token_hex(4)}.draft"
        self._files.put_file(str(file), draft)
        self._files.mv(draft, self._target)


class WorkingStore(EvidenceStore):
    """An evidence store on a local disk that copies itself to a place, in the course of its own transactions."""

    def __init__(self, file: Path, place: Place, every_s: float) -> None:
        self.place, self._every_s = place, every_s
        self._due = float("inf")
        super().__init__(file, create=True)
        self._due = time.monotonic() + every_s

    def committed(self) -> None:
        """Takes a snapshot where one is due. One that fails is told, and tried again."""
        if time.monotonic() < self._due:
            return
        started = time.monotonic()
        try:
            self.snapshot()
        except Exception as error:  # whatever the client of an object store raises
            log.warning("no snapshot of the evidence in %s (%s); the work goes on", self.place.name, one_line(error))
        ended = time.monotonic()
        self._due = ended + max(self._every_s, SHARE_OF_TIME * (ended - started))

    def snapshot(self) -> None:
        """Copies the whole store to the place. Raises OSError where that cannot be written."""
        due, self._due = self._due, float("inf")  # the mark is a transaction too
        try:
            known = json.loads(self.get_meta(TOKENS) or "[]")
            # Two marks: one that did not arrive, and the one before it that did.
            self.set_meta(TOKENS, json.dumps([*known[-1:], secrets.token_hex(8)]))
            copy = self.path.with_name(COPY)
            self.copy_to(copy)
            self.place.put(copy)
            copy.unlink()
        finally:
            self._due = due


_working: dict[Path, Path] = {}
"""A run's evidence file -> the working copy that this process has open."""


def live_file(file: Path) -> Path:
    """Where a run's evidence is read while this process works on it: its working copy, where it has one."""
    return _working.get(file.absolute(), file)


@contextmanager
def working_store(file: Path, config: StorageConfig, say: Callable[[str], None]) -> Iterator[EvidenceStore]:
    """The working copy of a run's evidence, whose own place is `file`: the one that a killed command has left on this
    machine, else the last snapshot, else a new one. Ends with a snapshot, and with the evidence in `file`.

    Raises RapError where the local folder cannot be used, and where no snapshot can be read or written: before anything
    is sampled, and at the end, when the working copy is kept.
    """
    own = FolderPlace(file)
    place: Place = UrlPlace(config.snapshots, file.name) if config.snapshots else own
    folder = _local_folder(file.parent, config)
    store = WorkingStore(_brought_here(folder, place, own, say), place, config.snapshot_s)
    try:
        with _snapshot_errors(store):
            store.snapshot()
        say(
            f"evidence is written in {folder}, with a snapshot in {place.name} every {config.snapshot_s:g} s; what comes after "
            "the last one is lost if this command is killed hard and goes on from another machine"
        )
        _working[file.absolute()] = store.path
        yield store
    finally:
        _working.pop(file.absolute(), None)
        with closing(store), _snapshot_errors(store):
            store.snapshot()
            if place is not own:
                store.copy_to(folder / COPY)
                own.put(folder / COPY)
    shutil.rmtree(folder, ignore_errors=True)


def _brought_here(folder: Path, place: Place, own: Place, say: Callable[[str], None]) -> Path:
    """The file to work on, with what is known already."""
    working, fetched = folder / "evidence.sqlite", folder / "fetched.sqlite"
    try:
        there = place.fetch(fetched) or own.fetch(fetched)
    except RapError:
        raise
    except Exception as error:  # whatever the client of an object store raises
        raise RapError(f"storage.snapshots: {place.name} cannot be read ({one_line(error)})") from None
    marks = _tokens(fetched) if there else []
    if marks and marks[-1] in _marks_of_leftover(working):
        say(f"going on with the evidence that a stopped command left in {folder}")
    elif there:
        for old in folder.glob(f"{working.name}*"):  # with its journal
            old.unlink()
        os.replace(fetched, working)
    for file in folder.glob(f"{fetched.name}*"):
        file.unlink()
    return working


@contextmanager
def _snapshot_errors(store: WorkingStore) -> Iterator[None]:
    try:
        yield
    except RapError:
        raise
    except Exception as error:  # whatever the client of an object store raises
        raise RapError(
            f"{store.place.name}: no snapshot of the evidence can be written ({one_line(error)}); all of it is in {store.path}: "
            "make room, and run the command again on this machine"
        ) from None


def keeps_working_copy(run: Path, config: StorageConfig) -> bool:
    """Whether the evidence of a run is worked on in a copy on the local disk."""
    if config.snapshots or config.evidence == "local":
        return True
    return config.evidence == "auto" and kind_of(run)[0] == "unsure"


def _tokens(file: Path) -> list[str]:
    with closing(EvidenceStore(file)) as store:
        found: list[str] = json.loads(store.get_meta(TOKENS) or "[]")
        return found


def _marks_of_leftover(working: Path) -> list[str]:
    try:
        return _tokens(working)
    except (RapError, ValueError):  # none is there, or it is damaged
        return []


def _local_folder(run: Path, config: StorageConfig) -> Path:
    """A folder of this user's own for the working copy of one run. Raises RapError where there is none to be had."""
    mark = hashlib.blake2b(os.fsencode(run.resolve()), digest_size=8).hexdigest()
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(config.local_dir or tempfile.gettempdir()) / f"rap-evidence-{user}-{mark}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.lstat()
    except OSError as error:
        raise RapError(f"storage.local_dir: {folder} cannot be made ({error.strerror}); choose another") from None
    if folder.is_symlink() or about.st_uid != user or about.st_mode & 0o022:
        raise RapError(f"storage.local_dir: {folder} is not this user's own; choose another")
    kind, name = kind_of(folder)
    if kind != "local":
        raise RapError(f"storage.local_dir: {folder} is on {name}; choose a folder on this machine's own disk")
    return folder
