"""Comparisons said again: "A is higher than B" for "Does A have a higher value than B?"."""

from __future__ import annotations

import re
from typing import Literal

YesNo = Literal["yes", "no"]

_OPPOSITES = (
    ("more", "less"), ("more", "fewer"), ("greater", "less"), ("greater", "smaller"), ("larger", "smaller"), ("bigger", "smaller"), ("higher", "lower"), ("greater", "lower"),
    ("higher", "less"), ("more", "smaller"), ("taller", "shorter"), ("longer", "shorter"), ("older", "younger"), ("heavier", "lighter"), ("faster", "slower"), ("hotter", "colder"), ("warmer", "colder"),
    ("warmer", "cooler"), ("wider", "narrower"), ("brighter", "darker"), ("stronger", "weaker"), ("thicker", "thinner"), ("better", "worse"), ("closer", "farther"), ("nearer", "farther"),
)  # fmt: skip
_ALIKE = (
    frozenset({"more", "greater", "larger", "bigger", "higher"}),
    frozenset({"less", "fewer", "smaller", "lower"}),
)
_IRREGULAR = {
    "people": "person",
    "men": "man",
    "women": "woman",
    "children": "child",
    "mice": "mouse",
    "knives": "knife",
}
_OTHERS = [
    "deeper",
    "richer",
    "cheaper",
    "harder",
    "softer",
    "safer",
    "earlier",
    "later",
    "sooner",
    "steeper",
    "louder",
    "happier",
    "busier",
    "drier",
    "wetter",
    "larger",
]
_COMPARATIVES = sorted({*_OTHERS, *(word for pair in _OPPOSITES for word in pair)})
_THAN = re.compile(
    rf"\b(?P<word>{'|'.join(_COMPARATIVES)})\b(?P<of>(?:\s+(?!(?:{'|'.join(_COMPARATIVES)})\b)[\w'-]+){{0,4}}?)\s+than\b",
    re.IGNORECASE,
)
_WHICH = re.compile(rf"\b(?:which|who|what)\b[^?]*?\b({'|'.join(_COMPARATIVES)})\b", re.IGNORECASE)
_NOT = re.compile(r"\b(?:not|n't|never|no|neither)\b|n't\b", re.IGNORECASE)
_EMPTY = frozenset(
    [
        "the",
        "a",
        "an",
        "is",
        "are",
        "was",
        "were",
        "be",
        "do",
        "does",
        "did",
        "has",
        "have",
        "had",
        "of",
        "in",
        "on",
        "to",
        "that",
        "this",
        "there",
        "it",
        "and",
        "or",
        "value",
        "number",
        "than",
        "any",
        "image",
        "according",
    ]
)


def stem(word: str) -> str:
    """A word without its plural ending, its "ing" or the "e" that endings hide: "wears" as "wearing"."""
    word = _IRREGULAR.get(word, word).removesuffix("'s")
    for ending, replacement in (
        ("ies", "y"),
        ("ves", "f"),
        ("sses", "ss"),
        ("ses", "s"),
        ("xes", "x"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("s", ""),
    ):
        if word.endswith(ending) and len(word) > len(ending) + 1 and not word.endswith(("ss", "us", "is")):
            word = word[: -len(ending)] + replacement
            break
    if word.endswith("ing") and len(word) > 5:
        word = re.sub(r"([bdgmnprt])\1$", r"\1", word[:-3])
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def compared_as(text: str, question: str) -> YesNo | None:
    """The answer of a sentence that compares the same two things as a question of yes or no; None where it compares
    nothing, or other things."""
    asked, said = _sides(question.split("\n")[0].split("?")[0]), _sides(text)
    if asked is None:
        return None
    left, right = asked[1] - asked[2], asked[2] - asked[1]
    if said is None or not left or not right:
        return None
    same = bool(said[1] & left) and bool(said[2] & right) and not said[1] & right and not said[2] & left
    turned = bool(said[1] & right) and bool(said[2] & left) and not said[1] & left and not said[2] & right
    if not (same or turned):
        return None
    alike, opposed = _alike(asked[0], said[0]), _opposed(asked[0], said[0])
    if not (alike or opposed):
        return None
    holds = (same and alike) or (turned and opposed)
    return "yes" if holds != bool(_NOT.search(text)) else "no"


def on_asked_side(text: str, question: str) -> str | None:
    """Of a sentence that compares two things as a question does, the words about the one that the question asks for:
    "Paris" in "Paris is larger than Rome" and in "Rome is smaller than Paris", for "Which city is larger?"."""
    found = list(_THAN.finditer(text))
    asked = _WHICH.findall(question.split("\n")[0].lower())
    if len(found) != 1 or len(asked) != 1 or _NOT.search(text):
        return None
    word = found[0]["word"].lower()
    if _alike(asked[0], word):
        return text[: found[0].start()]
    return text[found[0].end() :] if _opposed(asked[0], word) else None


def _sides(text: str) -> tuple[str, set[str], set[str]] | None:
    """(the comparative, the words that carry meaning before it and with it, those after "than")."""
    found = list(_THAN.finditer(text))
    if len(found) != 1:
        return None
    match = found[0]
    return match["word"].lower(), _content(text[: match.start()] + " " + match["of"]), _content(text[match.end() :])


def _content(text: str) -> set[str]:
    return {stem(word) for word in re.findall(r"[\w'-]+", text.lower()) if word not in _EMPTY}


def _alike(one: str, other: str) -> bool:
    return one == other or any({one, other} <= group for group in _ALIKE)


def _opposed(one: str, other: str) -> bool:
    return (one, other) in _OPPOSITES or (other, one) in _OPPOSITES
