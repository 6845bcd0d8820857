"""Every set of tables that ever landed, made by its own SQL, goes on: its rollouts are kept, more are stored, graded, measured and read."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rap_plugin.evidence.records import LedgerEntry, ProbeKey
from rap_plugin.evidence.schema import SCHEMA, SCHEMA_VERSION
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.table import read_table
from rap_plugin.evidence.variants import STATISTIC_COLUMNS
from rap_plugin.grading import Grade
from rap_plugin.rollout import Attention, ModelIdentity, Response, Sampling
from rap_plugin.samples.sample import Quarantined

SCHEMAS = sorted((Path(__file__).parent / "schemas").glob("*.sql"))
KEYS = {
    arm: ProbeKey.of(arm, "recipe", ModelIdentity("m", "r1"), Sampling(), engine="hf") for arm in ("blind", "image")
}  # type: ignore[arg-type]


def tables(db: sqlite3.Connection) -> dict[str, set[str]]:
    """By table or view: its columns."""
    names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    return {name: {row[1] for row in db.execute(f"PRAGMA table_info({name})")} for name in names}


def old_store(path: Path, schema: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(schema.read_text(encoding="utf-8"))
        db.execute("INSERT INTO samples VALUES (1, 'abc', '<image>q', 'g', '', 1, 6)")
        db.execute("INSERT INTO pool (row, sample) VALUES (0, 1)")
        for probe, key in enumerate(KEYS.values(), 7):
            shared = (probe, key.arm, key.prompt_hash, key.model_revision, key.sampling)
            db.execute(
                "INSERT INTO probes (probe, arm, prompt_hash, model_revision, sampling, seed, schema_version) "
                "VALUES (?, ?, ?, ?, ?, 0, 1)", shared,
            )  # fmt: skip
            db.execute(
                "INSERT INTO rollouts (sample, probe, rollout, status, finish, prompt_tokens, tokens) "
                "VALUES (1, ?, 0, 'ok', 'stop', 5, 2)", (probe,),
            )  # fmt: skip
            db.execute(
                "INSERT INTO responses (sample, probe, rollout, text, token_ids, error) VALUES (1, ?, 0, 'kept', x'01000000', '')",
                (probe,),
            )
        db.commit()


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.stem)
def test_a_store_of_any_schema_goes_on(schema: Path, tmp_path: Path) -> None:
    path = tmp_path / "evidence.sqlite"
    old_store(path, schema)
    with closing(EvidenceStore(path)) as store:
        assert store.rows("PRAGMA user_version") == [(SCHEMA_VERSION,)]
        probes = {arm: store.probe(key) for arm, key in KEYS.items()}
        assert sorted(probes.values()) == [7, 8]
        for probe in probes.values():
            assert store.finished(probe) == {1: 1}
            store.add_rollouts(probe, [(1, [Response(1, "now", (1,), reward=0.5)])], traces={(1, 1): "{}"})
            grades = [(1, probe, rollout, Grade("right", 1.0, True, "g")) for rollout in (0, 1)]
            assert [row[:4] for row in store.ungraded([probe], "text-1")] == [
                (1, probe, 0, "kept"),
                (1, probe, 1, "now"),
            ]
            store.set_grades("text-1", grades, LedgerEntry("grade", 0.1))
        measured = Attention(dict.fromkeys(STATISTIC_COLUMNS, -3.0))
        store.set_attention(
            probes["image"], [(1, 0, measured), (1, 1, measured)], LedgerEntry("measure attention", 0.1)
        )
        table = read_table(store, probes, 2, [(STATISTIC_COLUMNS[0], "max")])  # type: ignore[arg-type]
        assert (table.arms["image"].right.tolist(), table.arms["blind"].right.tolist()) == ([2], [2])
        assert table.statistic(STATISTIC_COLUMNS[0]).tolist() == [-3.0]
        store.replace_pool([Quarantined(0, "engine_error", "gone", id="abc")], "fingerprint")
        assert [item.id for item in store.quarantine()] == ["abc"]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.stem)
def test_it_has_the_tables_and_columns_of_a_new_store(schema: Path, tmp_path: Path) -> None:
    for name in ("old", "new"):
        if name == "old":
            old_store(tmp_path / name, schema)
        EvidenceStore(tmp_path / name, create=True).close()
    found = []
    for name in ("old", "new"):
        with closing(sqlite3.connect(tmp_path / name)) as db:
            indexes = {
                row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
            }
            found.append((tables(db), indexes))
    assert found[0] == found[1]


def test_the_schema_in_force_is_among_them() -> None:
    """A change of the tables brings a file here, so that the stores of today are tested tomorrow."""

    def plain(text: str) -> str:
        return re.sub(r"\s+", " ", re.sub(r"--.*|PRAGMA.*", "", text)).strip()

    assert plain(SCHEMA) in {plain(path.read_text(encoding="utf-8")) for path in SCHEMAS}
