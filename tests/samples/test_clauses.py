"""PGPS9K clauses in words."""

from __future__ import annotations

import random
from typing import Any

import pytest

from rap_plugin.samples.clauses import clauses_of, in_words, read_clauses


@pytest.mark.parametrize(
    ("clause", "words"),
    [
        ("line m lieson A W Y B", "A, W, Y, B lie on line m"),
        ("line A B", None),
        ("line X Y Z", "Y is on line XZ"),
        ("line A P Q B", "P, Q are on line AB"),
        ("\\odot O lieson A B C", "A, B, C lie on \\odot O"),
        ("arc A B", None),
        ("", None),
    ],
)
def test_a_structural_clause_becomes_words_or_nothing(clause: str, words: str | None) -> None:
    assert in_words(clause) == words


def test_semantic_clauses_pass_as_they_are() -> None:
    assert clauses_of(["line A B", "line X Y Z"], ["CB \\perp CA on C", " "]) == [
        "Y is on line XZ",
        "CB \\perp CA on C",
    ]


def test_parity_names_the_last_two_points_as_the_ends_and_keeps_white_space() -> None:
    assert in_words("line A P Q B", parity=True) == "P, Q are on line QB"
    assert in_words("line A P B", parity=True) == "P is on line AB"
    assert read_clauses([], [" XY = YZ "], parity=True).facts == (" XY = YZ ",)


def test_every_dropped_clause_is_counted_with_its_reason() -> None:
    read = read_clauses(["line A B", "line A P B", "arc A B", "line m lieson", 7, "x" * 5000], ["AB = 3", "", None])
    assert read.facts == ("P is on line AB", "AB = 3")
    assert read.silent == 2
    assert [text[:13] for text in read.unreadable] == ["arc A B", "line m lieson", "7", "'" + "x" * 12, "None"]


PIECES = (
    "line",
    "lieson",
    "\\odot",
    "A",
    "B",
    "Q",
    "m",
    "\\perp",
    "=",
    "12",
    "",
    " ",
    "\t",
    "\n",
    "\x00",
    "é",
    "\ud800",
    "𝒜",
    "線",
)


def test_twenty_thousand_fuzzed_clauses_raise_nothing_and_none_is_lost() -> None:
    rng = random.Random(15)
    made = 0
    while made < 20_000:
        clauses: list[Any] = [
            "".join(rng.choice(PIECES) + rng.choice((" ", " ", "  ", "")) for _ in range(rng.randint(0, 9)))
            if rng.random() < 0.9
            else rng.choice((None, 3, 2.5, [], {}, b"line A B", "line " + "A " * 3000))
            for _ in range(rng.randint(0, 40))
        ]
        half = rng.randint(0, len(clauses))
        for parity in (False, True):
            read = read_clauses(clauses[:half], clauses[half:], parity=parity)
            assert len(read.facts) + read.silent + len(read.unreadable) == len(clauses)
            assert all(fact.encode() for fact in read.facts)
        made += len(clauses)
