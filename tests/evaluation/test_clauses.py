"""PGPS9K clauses in words."""

import pytest

from rap_plugin.evaluation.clauses import clauses_of, in_words


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
