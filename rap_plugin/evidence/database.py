"""One open SQLite file: its connection, its version, its transactions."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.evidence.schema import SCHEMA, SCHEMA_VERSION


class Database:
    """A connection that several threads of one process may use."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        try:
            if read_only:
                self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
            else:
                self._db = sqlite3.connect(path, check_same_thread=False, timeout=60)
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._check_version()
                self._db.executescript(SCHEMA)
            # 256 MiB of page cache: a decision over a large store then reads each page once.
            self._db.execute("PRAGMA cache_size=-262144")
            self._db.execute("SELECT count(*) FROM meta").fetchone()
        except sqlite3.Error as error:
            raise RapError(f"{path}: cannot open the evidence store ({error}); is it a run directory of rap?") from None

    def _check_version(self) -> None:
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if tables and version != SCHEMA_VERSION:
            raise RapError(
                f"{self.path}: evidence of schema version {version}, this rap reads {SCHEMA_VERSION}; use the rap that wrote it"
            )
        self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

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
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Writes that are stored together or not at all. Raises RapError for a full disk and a second writer."""
        with self._lock:
            try:
                with self._db:
                    yield self._db
            except sqlite3.OperationalError as error:
                if "full" in str(error) or "disk I/O" in str(error):
                    raise RapError(
                        f"{self.path}: the disk is full; nothing stored is lost: free some space and run the same command again"
                    ) from None
                if "locked" in str(error):
                    raise RapError(
                        f"{self.path}: another rap process is writing here; wait for it or stop it"
                    ) from None
                raise

    # --- facts about the run ---

    def get_meta(self, name: str) -> str | None:
        """A stored fact, or None."""
        found = self.rows("SELECT value FROM meta WHERE name = ?", (name,))
        return found[0][0] if found else None

    def set_meta(self, name: str, value: str) -> None:
        """Stores a fact."""
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
