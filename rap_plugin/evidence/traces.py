"""Traces: how a rollout that was written in several goes came about, as text that its own room reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from sqlite3 import Connection

from rap_plugin.evidence.database import Database


def insert_traces(db: Connection, probe: int, traces: Mapping[tuple[int, int], str]) -> None:
    """Stores traces by (sample number, rollout), inside the caller's transaction; one that is there stays."""
    rows = [(sample, probe, rollout, text) for (sample, rollout), text in traces.items()]
    db.executemany("INSERT OR IGNORE INTO traces VALUES (?, ?, ?, ?)", rows)


def read_traces(store: Database, probe: int) -> Iterator[tuple[int, int, str]]:
    """(sample number, rollout, trace) of a probe, in order."""
    yield from store.query(
        "SELECT sample, rollout, trace FROM traces WHERE probe = ? ORDER BY sample, rollout", (probe,)
    )


def newest_probe(store: Database, setting: str, value: str) -> int | None:
    """The last probe with traces that has this setting; None where there is none."""
    found = store.rows(
        "SELECT max(probe) FROM probes WHERE json_extract(settings, '$.' || ?) = ? "
        "AND EXISTS (SELECT 1 FROM traces WHERE traces.probe = probes.probe)",
        (setting, value),
    )
    return found[0][0]
