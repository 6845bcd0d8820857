"""Evidence that is damaged: recognised wherever it is read, told in one line, never silently used."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from rap_plugin.errors import RapError, one_line

if TYPE_CHECKING:
    from rap_plugin.evidence.database import Database

P = ParamSpec("P")
T = TypeVar("T")
Store = TypeVar("Store", bound="Database")

TABLES = ("meta", "samples", "pool", "probes", "rollouts", "responses", "ledger")
"""What every evidence store has had from the first version on."""

CHECKS = (
    (
        "rollouts LEFT JOIN responses USING (sample, probe, rollout) WHERE responses.sample IS NULL",
        "{count:,} rollouts have lost their responses",
    ),
    (
        "rollouts LEFT JOIN samples USING (sample) WHERE samples.id IS NULL",
        "{count:,} rollouts have lost their samples",
    ),
    (
        "rollouts LEFT JOIN probes USING (probe) WHERE probes.arm IS NULL",
        "{count:,} rollouts have lost what they were sampled with",
    ),
    (
        "pool LEFT JOIN samples USING (sample) WHERE pool.sample IS NOT NULL AND samples.id IS NULL",
        "{count:,} rows of the pool have lost their samples",
    ),
    (
        "rollouts WHERE typeof(rollout) != 'integer' OR rollout NOT BETWEEN 0 AND 61 OR typeof(tokens) != 'integer' "
        "OR status NOT IN ('ok', 'overlong', 'engine_error') "
        "OR verdict NOT IN ('right', 'wrong', 'ungradable', 'timeout') OR typeof(reward) NOT IN ('real', 'integer', 'null')",
        "{count:,} rollouts hold values that rap does not write",
    ),
    (
        "responses WHERE typeof(text) != 'text' OR typeof(token_ids) != 'blob'",
        "{count:,} responses hold values that rap does not write",
    ),
    (
        "samples WHERE typeof(id) != 'text' OR length(id) != 32 OR typeof(question) != 'text' OR typeof(gold) != 'text' "
        "OR typeof(images) != 'integer'",
        "{count:,} samples hold values that rap does not write",
    ),
    (
        "rollouts JOIN responses USING (sample, probe, rollout) WHERE length(token_ids) > 0 AND length(token_ids) != 4 * tokens",
        "{count:,} responses have another number of tokens than was counted",
    ),
)
"""Rows that cannot be: what to count, and what it means where there are some."""

SAMPLES_AT_ONCE = 1_000
"""Samples whose texts are held in memory at the same time."""


def damaged(path: Path, error: BaseException | str) -> RapError:
    """The one line for evidence that cannot be read as what it was."""
    return RapError(
        f"{path}: the evidence is damaged ({one_line(error, 120)}); bring the file back from a copy, or make the run again "
        "in another folder"
    )


def explained(path: Path, error: sqlite3.Error) -> RapError | None:
    """What to tell a user whom SQLite tells this; None for what is a mistake of ours."""
    text = str(error)
    if "full" in text or "disk I/O" in text:
        return RapError(
            f"{path}: the disk is full; nothing stored is lost: free some space and run the same command again"
        )
    if "locked" in text:
        return RapError(f"{path}: another rap process is writing here; wait for it or stop it")
    if "readonly" in text:
        return RapError(
            f"{path}: cannot be written; change its permissions, or copy the run directory and work on the copy"
        )
    if isinstance(error, sqlite3.ProgrammingError):
        return None
    return damaged(path, error) if isinstance(error, sqlite3.DatabaseError) else None


def names_damage(read: Callable[Concatenate[Store, P], T]) -> Callable[Concatenate[Store, P], T]:
    """A function that reads a store: values that no rap wrote become the one line of `damaged`."""

    @functools.wraps(read)
    def guarded(store: Store, /, *args: P.args, **options: P.kwargs) -> T:
        try:
            return read(store, *args, **options)
        except sqlite3.Error as error:
            raise explained(store.path, error) or error from None
        except (ValueError, TypeError, IndexError, OverflowError, RecursionError) as error:
            raise damaged(store.path, error) from error

    return guarded


def missing_tables(names: set[str]) -> list[str]:
    """Of the tables that every store has, those that this one lacks."""
    return [name for name in TABLES if name not in names]


def find_damage(store: Database) -> list[str]:
    """Everything that is wrong with a store as far as it can be known without the pool, one line each.

    Reads the whole file once, and the rollouts a few times more: minutes for 10 million of them.
    """
    try:
        pages = [str(row[0]) for row in store.rows("PRAGMA quick_check(3)")]
    except RapError as error:
        return [str(error)]
    found = [f"damaged pages ({one_line(line, 100)})" for line in pages if line != "ok"][:1]
    for what, meaning in CHECKS:
        try:
            (row,) = store.rows(f"SELECT count(*) FROM {what}")
        except RapError:
            return found or ["its tables cannot be read to their end"]
        if row[0]:
            found.append(meaning.format(count=row[0]))
    return found + _undecodable(store)


def _undecodable(store: Database) -> list[str]:
    """Texts whose bytes are no UTF-8: SQLite counts and compares them without a word, and only reading them tells."""
    for table, columns in (("responses", "text"), ("samples", "question, gold")):
        try:
            (last,) = store.rows(f"SELECT max(sample) FROM {table}")
            for start in range(0, int(last[0] or 0) + 1, SAMPLES_AT_ONCE):
                end = start + SAMPLES_AT_ONCE
                store.rows(f"SELECT {columns} FROM {table} WHERE sample >= ? AND sample < ?", (start, end))
        except RapError:
            return [f"{table} hold text that is not UTF-8"]
    return []


def require_whole(store: Database) -> None:
    """Raises RapError that lists what is lost, where anything is."""
    found: list[Any] = find_damage(store)
    if found:
        raise RapError(
            f"{store.path}: the evidence is damaged: {'; '.join(found)}; bring the file back from a copy, or make the run "
            "again in another folder (what is whole stays as it is)"
        )
