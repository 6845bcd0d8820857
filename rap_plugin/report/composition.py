"""What the pool and the selection are made of: by source, type, length of the question, kind of answer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rap_plugin.evidence.pool_texts import read_texts
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.report.examples import shorten
from rap_plugin.report.joint import Joint
from rap_plugin.samples.pool import Pool
from rap_plugin.selectors.base import Selection

COLUMNS = (
    "role",
    "source",
    "data_source",
    "dataset",
    "category",
    "subject",
    "topic",
    "type",
    "question_type",
    "answer_type",
    "ability",
    "level",
    "grade",
    "language",
)
"""Columns of a pool that people divide it by."""
MOST_COLUMNS = 4
MOST_VALUES = 60
"""A column with more values than this says what a row is, not what kind of row it is."""
SHOWN = 10
MOVED = 6
"""Values that are named as those whose share moved most."""
READ_ROWS = 1024
OTHERS = "all others"
LENGTHS = (50, 100, 200, 400, 800)
MEGAPIXELS = (0.05, 0.2, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Kind:
    """The samples with one value."""

    value: str
    before: int
    """In the pool's scored samples."""
    after: int
    """Of them in the selection."""
    share_before: float
    share_after: float
    cells: tuple[int, ...] = ()
    """`cell, count, cell, count, ..` of the judged ones, for the page's own counts."""

    @property
    def moved(self) -> float:
        """Share of the selection less share of the pool, in [-1, 1]."""
        return self.share_after - self.share_before


@dataclass(frozen=True)
class Division:
    """The scored samples divided by one property."""

    name: str
    title: str
    parts: tuple[Kind, ...]
    codes: NDArray[np.int64]
    """(N,) number of each sample's part."""


def divide(store: EvidenceStore, selection: Selection, pool: Pool, joint: Joint | None) -> list[Division]:
    """The divisions that say something: those with two values or more."""
    if not len(selection.table):
        return []
    texts = read_texts(store, selection.table)
    named: list[tuple[str, str, Sequence[str], Sequence[str] | None]] = []
    for column in [name for name in COLUMNS if name in pool.columns]:
        values = _column(pool, column, selection.table.rows.tolist())
        if 1 < len(set(values)) <= MOST_VALUES and len(named) < MOST_COLUMNS:
            named.append((column, f"column {column}", values, None))
    sources = _each(texts.source, lambda text: shorten(text, 60))
    known = any(list(values) == sources for _, _, values, _ in named)
    if 1 < len(set(sources)) <= MOST_VALUES and not known:
        named.append(("of", "source", sources, None))
    named.append(("length", "length of the question", *_in_steps(texts.length, LENGTHS, "characters", str)))
    named.append(("answer", "kind of answer", _each(texts.gold, kind_of_answer), None))
    million = texts.pixels / 1e6
    named.append(("pixels", "size of the images", *_in_steps(million, MEGAPIXELS, "megapixels", lambda v: f"{v:g}")))
    made = [_division(name, title, values, order, selection, joint) for name, title, values, order in named]
    return [division for division in made if len(division.parts) > 1]


def moved_most(divisions: Sequence[Division]) -> list[tuple[Division, Kind, str]]:
    """The parts whose share of the selection differs most from their share of the pool, with their `place_of`."""
    every = [
        (division, part, place_of(number, place))
        for number, division in enumerate(divisions)
        for place, part in enumerate(division.parts)
        if part.value != OTHERS
    ]
    every.sort(key=lambda item: -abs(item[1].moved))
    return [item for item in every[:MOVED] if abs(item[1].moved) >= 0.01]


def place_of(division: int, part: int) -> str:
    """How the page's script names a part: the number of its division and its own."""
    return f"{division} {part}"


def kind_of_answer(gold: str) -> str:
    """What a gold answer looks like."""
    text = gold.strip().strip("$").strip()
    if re.fullmatch(r"\(?[A-Ja-j]\)?[.:]?", text):
        return "option letter"
    if text.lower() in ("yes", "no", "true", "false"):
        return "yes or no"
    if re.fullmatch(r"[-+]?[\d,.]*\d\s*(?:%|°|\\%)?", text):
        return "number"
    if re.search(r"[\\^=_{}]|\d\s*[-+*/]\s*\d", text):
        return "formula"
    return "number with a unit" if re.match(r"[-+]?\d", text) else "words"


def as_json(divisions: Sequence[Division]) -> list[dict[str, Any]]:
    """The parts as the page reads them."""
    return [
        {
            "name": division.name,
            "parts": [{"before": part.before, "after": part.after, "cells": part.cells} for part in division.parts],
        }
        for division in divisions
    ]


def _each(texts: NDArray[np.object_], name: Callable[[str], str]) -> list[str]:
    """A name for every text; equal texts are named once."""
    known: dict[str, str] = {}
    return [known[text] if text in known else known.setdefault(text, name(text)) for text in texts.tolist()]


def _column(pool: Pool, name: str, rows: Sequence[int]) -> list[str]:
    values: list[str] = []
    for start in range(0, len(rows), READ_ROWS):
        found = pool.column(name, rows[start : start + READ_ROWS])
        values += ["" if value is None else shorten(str(value), 60) for value in found]
    return values


def _in_steps(
    numbers: NDArray[Any], steps: Sequence[float], unit: str, show: Callable[[float], str]
) -> tuple[list[str], list[str]]:
    """Each number's step, and the steps' names in order."""
    shown = [show(step) for step in steps]
    names = [
        f"up to {shown[0]} {unit}",
        *(f"{a} to {b}" for a, b in pairwise(shown)),
        f"above {shown[-1]}",
    ]
    return [names[i] for i in np.searchsorted(steps, numbers, side="left").tolist()], names


def _division(
    name: str,
    title: str,
    values: Sequence[str],
    order: Sequence[str] | None,
    selection: Selection,
    joint: Joint | None,
) -> Division:
    numbers = Counter(values)
    common = list(order) if order else [value for value, _ in numbers.most_common(SHOWN)]
    kept = [value for value in common if numbers[value]]
    place = {value: i for i, value in enumerate(kept)}
    codes = np.array([place.get(value, len(kept)) for value in values], dtype=np.int64)
    words = kept + ([OTHERS] if (codes == len(kept)).any() else [])
    chosen = selection.decision.chosen
    before = np.bincount(codes, minlength=len(words))
    after = np.bincount(codes[chosen], minlength=len(words))
    cells = _cells(codes, joint, len(words))
    parts = tuple(
        Kind(
            word or "(none)",
            int(before[i]),
            int(after[i]),
            float(before[i] / max(len(codes), 1)),
            float(after[i] / max(int(chosen.sum()), 1)),
            cells[i],
        )
        for i, word in enumerate(words)
    )
    return Division(name, title, parts, codes)


def _cells(codes: NDArray[np.int64], joint: Joint | None, parts: int) -> list[tuple[int, ...]]:
    if joint is None:
        return [()] * parts
    width = max(len(joint.values), 1)
    keys, counts = np.unique(codes[joint.judged] * width + joint.cell, return_counts=True)
    found: list[list[int]] = [[] for _ in range(parts)]
    for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
        found[key // width] += [key % width, count]
    return [tuple(pairs) for pairs in found]
