"""Brings the tables of an older rap up to date, in one transaction: evidence is never lost to a new version."""

from __future__ import annotations

from sqlite3 import Connection

from rap_plugin.evidence.schema import SCHEMA, SCHEMA_VERSION

STEPS: dict[int, tuple[str, ...]] = {
    # Version 1 did not know engine, number format and processor files; its probes match every key that agrees in the
    # rest. Failures of version 1 count as one attempt. SQLite changes a UNIQUE constraint by a new table only.
    1: (
        "DROP VIEW IF EXISTS evidence",
        "ALTER TABLE probes RENAME TO probes_before",
        next(statement for statement in SCHEMA.split(";") if "TABLE IF NOT EXISTS probes" in statement),
        "INSERT INTO probes (probe, arm, prompt_hash, model_revision, sampling, seed, schema_version) "
        "SELECT probe, arm, prompt_hash, model_revision, sampling, seed, schema_version FROM probes_before",
        "DROP TABLE probes_before",
        "ALTER TABLE rollouts ADD COLUMN attempts INTEGER NOT NULL DEFAULT 1",
        "ALTER TABLE rollouts ADD COLUMN measurements INTEGER NOT NULL DEFAULT 0",
    ),
}
"""By the version that they start from: what makes it the next one. The view is made again with the schema."""


LATE = {"pool": ("quarantined_id", "TEXT"), "responses": ("engine_reward", "REAL")}
"""Columns that the first stores of version 1 lack: by table, what it is called and its type. Indexes and tables that came later
without a new version are made with the schema."""


def migrate(db: Connection, version: int) -> None:
    """From `version` to the current one; raises sqlite3.Error where the file cannot be written, and changes nothing."""
    # Renaming a table would otherwise rewrite the references to it in other tables.
    db.execute("PRAGMA legacy_alter_table = ON")
    db.execute("BEGIN IMMEDIATE")
    try:
        for table, (column, kind) in LATE.items():
            if column not in {row[1] for row in db.execute(f"PRAGMA table_info({table})")}:
                db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
        for step in range(version, SCHEMA_VERSION):
            for statement in STEPS[step]:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        db.rollback()
        raise
    db.commit()
    db.execute("PRAGMA legacy_alter_table = OFF")
