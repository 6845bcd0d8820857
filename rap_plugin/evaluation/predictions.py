"""VLMEvalKit's prediction files: one response a row, kept as text."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError, one_line
from rap_plugin.evaluation.benchmarks.base import plain

ENDINGS = (".tsv", ".xlsx", ".json")


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row of a prediction file."""

    index: int
    response: str
    id: str
    """of the problem, "" where the file has no such column"""


def read_predictions(path: Path) -> list[tuple[int, str]]:
    """(index, response) of a prediction file, every response as text: a plain `load` makes a number of "42" and
    nothing of "None". Of rows with one index the last counts, in the place of the first."""
    return [(one.index, one.response) for one in read_rows(path)[0]]


def read_rows(path: Path) -> tuple[list[Prediction], list[str]]:
    """(predictions, one line about every kind of row that was left out): a row without an index, and all but the last
    of the rows with the same one. Raises RapError for a file that cannot be read."""
    rows = _table(path)
    found: dict[int, Prediction] = {}
    nameless = repeated = 0
    for row in rows:
        index = _index(row.get("index"))
        if index is None:
            nameless += 1
            continue
        repeated += index in found
        found[index] = Prediction(index, _text(row.get("prediction")), plain(row.get("id")))
    if rows and not found:
        raise RapError(f"{path}: no row of it has an index; is it a file of `rap-vlmeval`?")
    notes = [f"{nameless:,} rows have no index: left out"] if nameless else []
    if repeated:
        notes.append(f"{repeated:,} rows repeat an index: the last one counts")
    return list(found.values()), notes


def _table(path: Path) -> Sequence[Mapping[str, Any]]:
    try:
        if path.suffix == ".json":
            return _records(json.loads(path.read_text("utf-8-sig")))
        if path.suffix not in ENDINGS:
            raise RapError(f"{path}: no prediction file (.xlsx, .tsv or .json)")
        if path.suffix == ".xlsx":
            return _sheet(path)
        import pandas

        table = pandas.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        held: list[dict[str, Any]] = table[["index", "prediction", *({"id"} & set(table.columns))]].to_dict("records")
        return held
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        line = one_line(error)
        raise RapError(f"{path}: no predictions can be read ({line}); is it a file of `rap-vlmeval`?") from None


def _sheet(path: Path) -> Sequence[Mapping[str, Any]]:
    """The rows of a spreadsheet; a response that became a formula ("=B") as it was written, not what it came to."""
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=False)
    except (zipfile.BadZipFile, openpyxl.utils.exceptions.InvalidFileException) as error:
        raise ValueError(one_line(error)) from None
    try:
        cells = book.worksheets[0].iter_rows(values_only=True)
        head = list(next(cells, ()))
        columns = {name: head.index(name) for name in ("index", "prediction", *({"id"} & set(head)))}
        return [{name: row[place] for name, place in columns.items() if place < len(row)} for row in cells]
    finally:
        book.close()


def _records(content: Any) -> Sequence[Mapping[str, Any]]:
    """The rows of a JSON file: a list of them, or columns as lists or as mappings from row to value."""
    if isinstance(content, dict):
        columns = {name: content[name] for name in ("index", "prediction", "id") if name in content or name != "id"}
        cells = {name: list(held.values() if isinstance(held, dict) else held) for name, held in columns.items()}
        content = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    rows = [row for row in content if isinstance(row, dict)]
    if not any("prediction" in row for row in rows):
        raise KeyError("prediction")
    return rows


def _index(value: Any) -> int | None:
    """7, 7.0, "7" and "7.0" are the same row; anything else is none."""
    text = plain(value)
    return int(text.partition(".")[0]) if re.fullmatch(r"-?\d{1,12}(?:\.0*)?", text) else None


def _text(value: Any) -> str:
    """A response as text; a list of one is that one."""
    if isinstance(value, list) and len(value) == 1:
        return _text(value[0])
    return value if isinstance(value, str) else plain(value)
