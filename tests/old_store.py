"""The evidence store as schema version 1 wrote it, with that version's own SQL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from rap_plugin.evidence.variants import STATISTIC_COLUMNS

VERSION_1 = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE samples (
    sample INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, question TEXT NOT NULL, gold TEXT NOT NULL,
    source TEXT NOT NULL, images INTEGER NOT NULL, pixels INTEGER NOT NULL
);
CREATE TABLE pool (
    row INTEGER PRIMARY KEY, sample INTEGER REFERENCES samples(sample), status TEXT, reason TEXT, quarantined_id TEXT
);
CREATE TABLE probes (
    probe INTEGER PRIMARY KEY, arm TEXT NOT NULL, prompt_hash TEXT NOT NULL, model_revision TEXT NOT NULL,
    sampling TEXT NOT NULL, seed INTEGER NOT NULL, schema_version INTEGER NOT NULL,
    UNIQUE (arm, prompt_hash, model_revision, sampling, seed, schema_version)
);
CREATE TABLE rollouts (
    sample INTEGER NOT NULL REFERENCES samples(sample), probe INTEGER NOT NULL REFERENCES probes(probe),
    rollout INTEGER NOT NULL, status TEXT NOT NULL, finish TEXT NOT NULL, prompt_tokens INTEGER NOT NULL,
    tokens INTEGER NOT NULL, grader TEXT, verdict TEXT, reward REAL, well_formatted INTEGER, attention TEXT,
    {", ".join(f"{column} REAL" for column in STATISTIC_COLUMNS)},
    PRIMARY KEY (sample, probe, rollout)
) WITHOUT ROWID;
CREATE TABLE responses (
    sample INTEGER NOT NULL, probe INTEGER NOT NULL, rollout INTEGER NOT NULL, text TEXT NOT NULL,
    token_ids BLOB NOT NULL, error TEXT NOT NULL, engine_reward REAL, extracted TEXT, grade_reason TEXT,
    PRIMARY KEY (sample, probe, rollout)
) WITHOUT ROWID;
CREATE TABLE ledger (
    entry INTEGER PRIMARY KEY, stage TEXT NOT NULL, started TEXT NOT NULL, seconds REAL NOT NULL,
    rollouts INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, response_tokens INTEGER NOT NULL
);
CREATE VIEW evidence AS
SELECT samples.id AS sample_id, probes.arm, probes.prompt_hash, probes.model_revision, probes.sampling, probes.seed,
       probes.schema_version, rollouts.*, responses.text, responses.extracted, responses.error
FROM rollouts JOIN samples USING (sample) JOIN probes USING (probe) JOIN responses USING (sample, probe, rollout);
PRAGMA user_version = 1;
"""

TABLES = {
    "meta": "*",
    "samples": "*",
    "pool": "*",
    "probes": "probe, arm, prompt_hash, model_revision, sampling, seed, schema_version",
    "rollouts": "sample, probe, rollout, status, finish, prompt_tokens, tokens, grader, verdict, reward, well_formatted, "
    f"attention, {', '.join(STATISTIC_COLUMNS)}",
    "responses": "*",
    "ledger": "*",
}
"""What version 1 had of today's tables."""


def as_version_1(path: Path) -> None:
    """Replaces a store by what version 1 would have written for the same run."""
    old = path.with_suffix(".old")
    with closing(sqlite3.connect(old)) as db:
        db.executescript(VERSION_1)
        db.execute("ATTACH ? AS today", (str(path),))
        for table, columns in TABLES.items():
            names = "" if columns == "*" else f"({columns})"
            db.execute(f"INSERT INTO {table} {names} SELECT {columns} FROM today.{table}")
        db.commit()
    for leftover in path.parent.glob(f"{path.name}*"):
        leftover.unlink()
    old.rename(path)
