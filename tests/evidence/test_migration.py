"""Old stores keep working: a store of schema version 1, written by that version's own SQL, is brought up to date."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rap_plugin.errors import RapError
from rap_plugin.evidence.records import ProbeKey
from rap_plugin.evidence.schema import SCHEMA_VERSION
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.rollout import ModelIdentity, Response, Sampling
from tests.old_store import VERSION_1


def key(engine: str | None = None, **known: str) -> ProbeKey:
    return ProbeKey.of("image", "recipe", ModelIdentity("m", "r1", **known), Sampling(), engine=engine)  # type: ignore[arg-type]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """One sample with an answered rollout and one that the engine failed on."""
    path = tmp_path / "evidence.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1)
        db.execute("INSERT INTO samples VALUES (1, 'abc', 'q', 'g', '', 1, 6)")
        db.execute("INSERT INTO pool VALUES (0, 1, NULL, NULL, NULL)")
        known = key()
        db.execute(
            "INSERT INTO probes VALUES (7, ?, ?, ?, ?, 0, 1)",
            (known.arm, known.prompt_hash, known.model_revision, known.sampling),
        )
        columns = "sample, probe, rollout, status, finish, prompt_tokens, tokens, attention"
        db.execute(f"INSERT INTO rollouts ({columns}) VALUES (1, 7, 0, 'ok', 'stop', 5, 2, 'measured')")
        db.execute(f"INSERT INTO rollouts ({columns}) VALUES (1, 7, 1, 'engine_error', 'stop', 0, 0, NULL)")
        db.execute("INSERT INTO responses VALUES (1, 7, 0, 'kept', x'01000000', '', NULL, NULL, NULL)")
        db.execute("INSERT INTO responses VALUES (1, 7, 1, '', x'', 'out of memory', NULL, NULL, NULL)")
        db.commit()
    return path


def test_old_rollouts_are_kept_and_match_where_nothing_contradicts(old: Path) -> None:
    with closing(EvidenceStore(old)) as store:
        assert store.rows("PRAGMA user_version") == [(SCHEMA_VERSION,)]
        probe = store.probe(key(engine="hf", dtype="float32"))
        assert probe == 7
        assert [(r.text, r.status) for r in store.records({"image": probe}, [1])] == [
            ("kept", "ok"),
            ("", "engine_error"),
        ]
        assert store.rows("SELECT sample_id, settings FROM evidence")[0][0] == "abc"


def test_an_old_probe_learns_what_uses_it_and_is_then_kept_from_other_settings(old: Path) -> None:
    with closing(EvidenceStore(old)) as store:
        assert store.find_probe(key(engine="vllm")) == 7
        store.probe(key(engine="hf"))
        store.probe(key(engine="hf", processor_hash="aa"))
        assert json.loads(store.rows("SELECT settings FROM probes")[0][0]) == {"engine": "hf", "processor_hash": "aa"}
        assert store.find_probe(key(engine="vllm")) is None
        assert store.probe(key(engine="hf", processor_hash="bb")) != 7


def test_an_old_failure_counts_as_one_attempt_and_is_tried_again(old: Path) -> None:
    with closing(EvidenceStore(old)) as store:
        assert store.finished(7, attempts=3) == {1: 0b01}
        store.add_rollouts(7, [(1, [Response(0, "other"), Response(1, "now")])])
        assert [r.text for r in store.records({"image": 7}, [1])] == ["kept", "now"]
        assert store.rows("SELECT attempts FROM rollouts ORDER BY rollout") == [(1,), (2,)]


def test_a_reader_that_may_not_write_says_what_brings_an_old_store_up_to_date(old: Path) -> None:
    before = old.read_bytes()
    with pytest.raises(RapError, match="written by an older rap; `rap decide` on the run brings it up to date"):
        EvidenceStore(old, read_only=True)
    assert old.read_bytes() == before


def test_a_migration_that_fails_changes_nothing(old: Path) -> None:
    with closing(sqlite3.connect(old)) as db:
        db.execute("ALTER TABLE rollouts ADD COLUMN measurements INTEGER")  # in the way of the last step
        db.commit()
        before = db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    with pytest.raises(RapError, match="cannot open the evidence store"):
        EvidenceStore(old)
    with closing(sqlite3.connect(old)) as db:
        assert db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall() == before
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
def test_a_store_that_must_exist_is_not_made(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "evidence.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RapError, match=r"no evidence in this run \(the file is (missing|empty)\)"):
        EvidenceStore(path)
    assert (path.read_bytes() if path.exists() else None) == content
