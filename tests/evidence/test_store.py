"""The store: rows once, transactions whole, versions told apart."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rap_plugin.errors import RapError
from rap_plugin.evidence import database
from rap_plugin.evidence.records import LedgerEntry, ProbeKey
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.grading import Grade
from rap_plugin.rollout import Attention, ModelIdentity, Response, Sampling
from rap_plugin.run_dir import arrow
from rap_plugin.samples.sample import Quarantined, Sample, sample_id


def sample(row: int) -> Sample:
    question, image = f"<image>What is {row}?", b"png"
    return Sample(sample_id(question, str(row), (image,)), row, question, str(row), (image,), "", ((2, 3),))


@pytest.fixture
def store(tmp_path: Path) -> EvidenceStore:
    store = EvidenceStore(tmp_path / "evidence.sqlite", create=True)
    store.replace_pool([sample(0), Quarantined(1, "duplicate", "as row 0"), sample(2)], "one")
    return store


def key(**changes: object) -> ProbeKey:
    sampling = Sampling(**{"seed": 0, **{k: v for k, v in changes.items() if k != "model"}})  # type: ignore[arg-type]
    return ProbeKey.of("image", "hash", ModelIdentity("m", str(changes.get("model", "r1"))), sampling)


def test_a_rollout_that_comes_twice_is_stored_once_and_the_first_stays(store: EvidenceStore) -> None:
    probe = store.probe(key())
    store.add_rollouts(probe, [(1, [Response(0, "first", (1, 2))])])
    store.add_rollouts(probe, [(1, [Response(0, "second", (3,)), Response(1, "new", (4,))])])
    texts = [record.text for record in store.records({"image": probe}, [1])]
    assert texts == ["first", "new"]
    assert store.finished(probe) == {1: 0b11}
    assert store.token_ids(probe, 1, [1, 0]) == [[4], [1, 2]]


def test_a_changed_model_or_sampling_setting_is_another_probe(store: EvidenceStore) -> None:
    probes = {store.probe(key(**change)) for change in ({}, {"temperature": 0.5}, {"seed": 1}, {"model": "r2"})}
    assert len(probes) == 4
    assert store.probe(key()) == store.probe(key())


def test_the_pool_is_replaced_whole_and_known_samples_keep_their_number(store: EvidenceStore) -> None:
    before = {s.id: s.sample for s in store.samples()}
    store.replace_pool([sample(2), sample(0), sample(5)], "two")
    after = {s.id: s.sample for s in store.samples()}
    assert {id: after[id] for id in before} == before
    assert [item.status for item in store.quarantine()] == []
    assert store.pool_counts() == (3, 3, 3)


def test_a_pool_that_fails_half_way_leaves_the_old_one(store: EvidenceStore) -> None:
    def items():  # type: ignore[no-untyped-def]
        yield sample(7)
        raise RuntimeError("the disk fell out")

    with pytest.raises(RuntimeError):
        store.replace_pool(items(), "three")
    assert [s.row for s in store.samples()] == [0, 2]
    assert store.get_meta("pool_fingerprint") == "one"


def test_grades_of_another_grader_replace_and_ungraded_are_found(store: EvidenceStore) -> None:
    probe = store.probe(key())
    store.add_rollouts(probe, [(1, [Response(0, "7"), Response(1, status="overlong", error="long")])])
    assert [row[:3] for row in store.ungraded([probe], "g1")] == [(1, probe, 0)]
    store.set_grades("g1", [(1, probe, 0, Grade("right", 1.0, False, "7"))], LedgerEntry("grade", 0.1))
    assert store.ungraded([probe], "g1") == []
    assert len(store.ungraded([probe], "g2")) == 1


def test_lone_surrogates_in_a_response_are_stored_readably(store: EvidenceStore) -> None:
    probe = store.probe(key())
    store.add_rollouts(probe, [(1, [Response(0, "bad \ud800 half")])])
    assert store.records({"image": probe}, [1])[0].text == "bad ? half"


def test_attention_that_failed_is_told_from_attention_never_looked_at(store: EvidenceStore) -> None:
    probe = store.probe(key())
    store.add_rollouts(
        probe,
        [(1, [Response(0, "a", (1,)), Response(1, "b", (2,)), Response(2, "c", (3,))])],
        {(1, 0): Attention({"psi_window_max_10": -3.5}), (1, 1): Attention({}, "no such layer")},
    )
    assert store.unmeasured(probe) == {1: [2]}
    states = store.query("SELECT attention, psi_window_max_10 FROM rollouts ORDER BY rollout").fetchall()
    assert states == [("measured", -3.5), ("failed: no such layer", None), (None, None)]


def test_evidence_of_another_version_is_refused_in_one_line(store: EvidenceStore, tmp_path: Path) -> None:
    store.close()
    with sqlite3.connect(tmp_path / "evidence.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(RapError, match="schema version 99"):
        EvidenceStore(tmp_path / "evidence.sqlite")


def test_a_store_that_dies_while_its_tables_are_made_has_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new.sqlite"
    head, table, rest = database.SCHEMA.partition("CREATE TABLE IF NOT EXISTS rollouts")
    with monkeypatch.context() as patch:
        patch.setattr(database, "SCHEMA", f"{head} no statement; {table} {rest}")
        with pytest.raises(RapError):
            EvidenceStore(path, create=True)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    with closing(EvidenceStore(path, create=True)) as store:
        assert store.pool_counts() == (0, 0, 0)


def test_the_view_for_people_names_every_part_of_the_key(store: EvidenceStore) -> None:
    probe = store.probe(key())
    store.add_rollouts(probe, [(1, [Response(0, "a")])])
    columns = [column[0] for column in store.query("SELECT * FROM evidence").description]
    for name in ("sample_id", "arm", "prompt_hash", "model_revision", "sampling", "seed", "rollout", "schema_version"):
        assert name in columns


def test_arrays_from_buffers_are_those_that_arrow_makes() -> None:
    assert arrow.floats(np.array([1.5, np.nan, -0.0])).equals(pa.array([1.5, None, -0.0]))
    assert arrow.integers([3, -1]).equals(pa.array([3, -1], pa.int64()))
    assert arrow.texts(["a", None, "", "λ"]).equals(pa.array(["a", None, "", "λ"]))
    assert arrow.texts([]).equals(pa.array([], pa.string()))
    assert arrow.booleans(np.array([True, False, True])).equals(pa.array([True, False, True]))
    for made in (arrow.floats(np.array([np.nan, 2.0])), arrow.texts(["x", None]), arrow.integers([])):
        made.validate(full=True)
