"""The facts of a problem in words: from a column of the pool, from a user's function, or as the format knows them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rap_plugin.errors import Option, RapError, one_line
from rap_plugin.samples.formats.base import FactsOf, Row, RowProblem
from rap_plugin.samples.sample import Quarantined, Sample

COLUMNS = ("facts", "clauses")
"""Columns that `auto` takes where the format knows no facts of its own."""

MAX_FACTS = 1000
MAX_CHARACTERS = 20_000
"""Facts of one problem, and characters of them together: more is a broken row, not a diagram."""


def find_facts(wanted: str, known: FactsOf | None, columns: Sequence[str], path: str) -> FactsOf:
    """What reads the facts of a row: `wanted` is a column's name, `file.py:function` (row -> texts), or auto.

    Raises RapError where there is no such column or function, and where auto finds nothing.
    """
    if wanted == "auto":
        if known is not None:
            return known
        column = next((name for name in COLUMNS if name in columns), None)
        if column is None:
            raise RapError(
                f"{path}: no column {' or '.join(COLUMNS)}; name the one that holds the facts, or file.py:function, with ",
                Option("pool.facts"),
            )
        return facts_of_column(column)
    file, colon, function = wanted.rpartition(":")
    if colon and file.endswith(".py"):
        return _checked(_load(Path(os.path.expanduser(file)), function))
    if wanted not in columns:
        raise RapError(f"{path}: no column {wanted!r} (", Option("pool.facts"), f"); columns: {', '.join(columns)}")
    return facts_of_column(wanted)


def facts_of_column(column: str) -> FactsOf:
    """Facts from a column that holds a list of texts, that list as JSON, or one text with a fact a line."""

    def facts(row: Row) -> tuple[str, ...]:
        return facts_of(row.get(column))

    return facts


def facts_of(value: Any) -> tuple[str, ...]:
    """Facts from a list of texts, that list as JSON, or one text with a fact a line. Raises RowProblem."""
    if value is None:
        return ()
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        try:
            listed = json.loads(value)
        except (ValueError, RecursionError):
            listed = None
        value = listed if isinstance(listed, list) else value
    if isinstance(value, str):
        value = value.splitlines()
    if not isinstance(value, (list, tuple)) or not all(isinstance(fact, str) for fact in value):
        raise RowProblem(f"the facts are a {type(value).__name__}, not a text or a list of texts")
    found = tuple(fact.strip() for fact in value if fact.strip())
    if len(found) > MAX_FACTS or sum(map(len, found)) > MAX_CHARACTERS:
        raise RowProblem(f"{len(found):,} facts of {sum(map(len, found)):,} characters are no facts of one problem")
    return found


def _load(file: Path, name: str) -> Callable[[Row], Any]:
    try:
        spec = importlib.util.spec_from_file_location(f"rap_facts_{file.stem}", file)
        if spec is None or spec.loader is None:
            raise ImportError("not a Python file")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except Exception as error:
        raise RapError(f"{file}: cannot be loaded ({one_line(error)}) (", Option("pool.facts"), ")") from None
    function = getattr(module, name, None)
    if not callable(function):
        raise RapError(f"{file}: has no function {name!r} (", Option("pool.facts"), ")")
    found: Callable[[Row], Any] = function
    return found


def _checked(function: Callable[[Row], Any]) -> FactsOf:
    """A user's function, whose failures are those of the row."""

    def facts(row: Row) -> tuple[str, ...]:
        try:
            value = function(row)
        except Exception as error:
            raise RowProblem(f"the function that writes the facts failed ({one_line(error)})") from None
        return facts_of(value)

    return facts


class FactsHash:
    """Names the facts of a pool's samples, whatever their order: evidence of other facts is not mixed in."""

    def __init__(self) -> None:
        self._sum = 0

    def over(self, items: Iterator[Sample | Quarantined]) -> Iterator[Sample | Quarantined]:
        """The items as they come, each sample's facts added to the hash."""
        for item in items:
            if isinstance(item, Sample):
                text = json.dumps([item.id, item.facts])
                self._sum ^= int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
            yield item

    def hexdigest(self) -> str:
        """16 hexadecimal digits."""
        return f"{self._sum:016x}"
