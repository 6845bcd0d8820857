"""VLMEvalKit's prediction files: one response a row, kept as text."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError, one_line

ENDINGS = (".tsv", ".xlsx", ".json")


def read_predictions(path: Path) -> list[tuple[int, str]]:
    """(index, response) of a prediction file, every response as text: a plain `load` makes a number of "42" and
    nothing of "None"."""
    import pandas

    try:
        if path.suffix == ".xlsx":
            table = pandas.read_excel(path, dtype=str, keep_default_na=False)
        elif path.suffix == ".tsv":
            table = pandas.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        elif path.suffix == ".json":
            table = pandas.DataFrame(json.loads(path.read_text("utf-8")))
        else:
            raise RapError(f"{path}: no prediction file (.xlsx, .tsv or .json)")
        return [(int(index), _text(said)) for index, said in zip(table["index"], table["prediction"], strict=True)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        line = one_line(error)
        raise RapError(f"{path}: no predictions can be read ({line}); is it a file of `rap-vlmeval`?") from None


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)
