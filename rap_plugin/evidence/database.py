"""One open SQLite file: its connection, its version, its transactions."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.evidence.damage import damaged, explained, missing_tables
from rap_plugin.evidence.filesystem import kind_of
from rap_plugin.evidence.migration import migrate
from rap_plugin.evidence.schema import SCHEMA, SCHEMA_VERSION


class Database:
    """A connection that several threads of one process may use."""

    def __init__(self, path: Path, *, create: bool = False, read_only: bool = False) -> None:
        """Opens the file; `create` makes it where it is missing or empty, else that is an error.

        A file or folder that cannot be written is opened for reading. Raises RapError for a file that is missing, damaged,
        of a newer version, or not an evidence store.
        """
        self.path = path
        self.read_only = read_only = read_only or not (create or _can_write(path))
        self._file = path.absolute()
        self._lock = threading.RLock()
        if not create and not _has_content(path):
            raise RapError(
                f"{path}: there is no evidence in this run (the file is {'empty' if path.exists() else 'missing'}); bring it "
                "back from a copy, or make a new run with `rap select`"
            )
        mode = "ro" if read_only else "rwc" if create else "rw"
        if read_only and not _can_write(path) and not _has_content(path.with_name(f"{path.name}-wal")):
            # Even to read, a write-ahead log wants to make files beside itself; a log that is empty is not needed.
            mode = "ro&immutable=1"
        try:
            self._db = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode={mode}", uri=True, check_same_thread=False, timeout=60
            )
            if not read_only:
                # A write-ahead log needs memory that all processes share: not on a network file system.
                self._db.execute(f"PRAGMA journal_mode={'WAL' if kind_of(path)[0] == 'local' else 'DELETE'}")
                self._db.execute("PRAGMA synchronous=FULL")
            self._bring_up_to_date(read_only)
            # 256 MiB of page cache: a decision over a large store then reads each page once.
            self._db.execute("PRAGMA cache_size=-262144")
            self._db.execute("SELECT count(*) FROM meta").fetchone()
        except (sqlite3.Error, UnicodeDecodeError) as error:  # of a damaged schema, SQLite repeats the bytes
            raise RapError(f"{path}: cannot open the evidence store ({error}); is it a run directory of rap?") from None

    def _bring_up_to_date(self, read_only: bool) -> None:
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if tables and (version > SCHEMA_VERSION or version < 1):
            raise RapError(
                f"{self.path}: evidence of schema version {version}, this rap reads up to {SCHEMA_VERSION}; use the rap that "
                "wrote it"
            )
        if tables:
            names = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if gone := missing_tables(names):
                raise damaged(self.path, f"without the table{'s' * (len(gone) > 1)} {', '.join(gone)}")
        if read_only:
            if version != SCHEMA_VERSION:
                raise RapError(f"{self.path}: written by an older rap; `rap decide` on the run brings it up to date")
            return
        if tables and version < SCHEMA_VERSION:
            migrate(self._db, version)
        # All tables or none: a process killed between two of them would leave a store that looks damaged.
        begin = "BEGIN" if tables else f"BEGIN IMMEDIATE; PRAGMA user_version = {SCHEMA_VERSION}"
        try:
            self._db.executescript(f"{begin}; {SCHEMA}; COMMIT;")
        except sqlite3.Error:
            self._db.rollback()
            raise

    def close(self) -> None:
        """Ends the connection; stored rows stay."""
        with self._lock:
            self._db.close()

    def query(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """The rows that an SQL statement finds, as a stream; docs/evidence.md has the tables."""
        with self._lock:
            return self._db.execute(sql, values)

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The same as a list: no transaction of another thread comes in between."""
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise explained(self.path, error) or error from None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Writes that are stored together or not at all. Raises RapError for a full disk and a second writer."""
        with self._lock:
            # SQLite goes on writing into a file that has no name any more, and all of it is lost.
            if not self._file.exists():
                raise RapError(
                    f"{self.path}: the file is gone: it or its folder was removed or moved while rap worked there, and what it "
                    "held is lost with it"
                )
            try:
                with self._db:
                    yield self._db
                self.committed()
            except sqlite3.Error as error:
                raise explained(self.path, error) or error from None

    def committed(self) -> None:
        """Called after every transaction that was stored."""

    def copy_to(self, file: Path) -> None:
        """Writes a whole copy of the store, as of now, into one file without a journal."""
        with self._lock, closing(sqlite3.connect(file)) as copy:
            self._db.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")

    # --- facts about the run ---

    def get_meta(self, name: str) -> str | None:
        """A stored fact, or None."""
        found = self.rows("SELECT value FROM meta WHERE name = ?", (name,))
        return found[0][0] if found else None

    def set_meta(self, name: str, value: str) -> None:
        """Stores a fact."""
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def _can_write(path: Path) -> bool:
    """Whether the file and its folder, where SQLite keeps its journal, can be written."""
    return os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK)


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
