"""Attention by token in the evidence: comes back as it was stored, is absent from older stores, and never harms a page."""

from __future__ import annotations

import math
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from rap_plugin.errors import RapError
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.tokens import read_tokens, store_tokens
from rap_plugin.evidence.variants import VARIANTS, Variant
from rap_plugin.rollout import TokenAttention

WINDOW = Variant("window", "max", 10)
SEEN = TokenAttention((math.nan, 0.25, 0.5, math.nan), 2, (3, 7, 8, 8))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "evidence.sqlite"
    with closing(EvidenceStore(path, create=True)) as store:
        store_tokens(store, 7, WINDOW, {(1, 0): SEEN, (2, 3): SEEN})
    return path


def change(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(sql, values)


def test_what_was_stored_comes_back_for_the_samples_and_the_variant_asked_for(path: Path) -> None:
    with closing(EvidenceStore(path)) as store:
        found = read_tokens(store, 7, WINDOW, [1, 5])
        assert list(found) == [(1, 0)]
        assert repr(found[1, 0]) == repr(SEEN)
        assert not any(read_tokens(store, 7, variant, [1]) for variant in VARIANTS if variant != WINDOW)


def test_a_store_of_an_older_rap_that_is_only_read_has_none(path: Path) -> None:
    change(path, "DROP TABLE token_attention")
    with closing(EvidenceStore(path, read_only=True)) as store:
        assert read_tokens(store, 7, WINDOW, [1]) == {}
    with closing(EvidenceStore(path)) as store:
        store_tokens(store, 7, WINDOW, {(1, 0): SEEN})
        assert list(read_tokens(store, 7, WINDOW, [1])) == [(1, 0)]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("shares", b"no zlib"),
        ("shares", zlib.compress(b"\0" * 3)),
        ("shares", zlib.compress(b"\0" * 2)),
        ("ends", zlib.compress(b"\0" * (1 << 23))),
        ("hot", 4),
        ("hot", "x"),
    ],
)
def test_what_is_damaged_is_said_in_one_line(path: Path, column: str, value: object) -> None:
    change(path, f"UPDATE token_attention SET {column} = ?", value)
    with closing(EvidenceStore(path)) as store, pytest.raises(RapError, match="attention by token of rollout 0"):
        read_tokens(store, 7, WINDOW, [1])
