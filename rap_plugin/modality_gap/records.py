"""What was measured, as JSON lines: one line per problem, condition and rendering of one model state.

    {"recipe": "mix", "seed": 0, "step": 40, "problem": "..", "kind": "segments", "rendering": "plain", "condition": "text",
     "right": [true, false], "answers": ["7", null], "tokens": [31, 12]}

A training, `rap modality-gap measure` and the results of evaluation hosts all become these.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rap_plugin.errors import RapError, one_line

Condition = Literal["text", "image"]
FILE = "gap.jsonl"
MAX_LINE = 1 << 20
LONGEST_NAME = 200


@dataclass(frozen=True)
class GapRecord:
    """The n responses of one model state to one problem in one condition."""

    recipe: str
    seed: int
    step: int
    problem: str
    kind: str
    rendering: str
    condition: Condition
    right: tuple[float, ...]
    """1 or 0 per response; shares of them where a host tells no more."""
    answers: tuple[str | None, ...] = ()
    """What was read in each response; () where it is not known."""
    tokens: tuple[int, ...] = ()
    """Length of each response; () where it is not known."""

    @property
    def accuracy(self) -> float:
        return sum(self.right) / len(self.right)


def write_records(path: Path, records: Iterable[GapRecord]) -> int:
    """Adds records to a file; returns how many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("a+b") as file:
        # A run that was killed may have left half a line: the next record starts one of its own.
        if file.seek(0, 2) and (file.seek(-1, 2), file.read(1))[1] != b"\n":
            file.write(b"\n")
        for record in records:
            file.write(json.dumps(asdict(record)).encode("ascii") + b"\n")
            count += 1
    return count


def read_records(paths: Sequence[Path]) -> tuple[list[GapRecord], list[str]]:
    """(records, one line for everything that could not be used) of files, and of every gap.jsonl in folders.

    Of two records about the same the later one counts: a training that was stopped measures its last step again. Raises
    RapError where nothing can be used.
    """
    found: dict[tuple[str, int, int, str, str, str], GapRecord] = {}
    problems: list[str] = []
    for path in paths:
        files = [path] if path.is_file() else sorted(path.rglob(FILE))
        if not files:
            problems.append(f"{path}: no {FILE} here; `rap modality-gap measure` or `train` writes it")
        for file in files:
            bad = 0
            with file.open("rb") as lines:
                for line in lines:
                    record = _record(line)
                    if record is None:
                        bad += 1
                        continue
                    key = (record.recipe, record.seed, record.step, record.problem, record.rendering, record.condition)
                    found[key] = record
            if bad:
                problems.append(f"{file}: {bad:,} lines cannot be read")
    if not found:
        raise RapError(problems[0] if problems else f"nothing given; name folders with {FILE}")
    return list(found.values()), problems


def _name(value: Any) -> str:
    """What stands in tables, charts and terminals: one line without control characters or halves of one."""
    return one_line(str(value or ""), LONGEST_NAME)


def _record(line: bytes) -> GapRecord | None:
    """The record of a line; None for a line that is none (a run that was cut off ends in half a line)."""
    if len(line) > MAX_LINE:
        return None
    try:
        row: Any = json.loads(line)
        right = tuple(float(value) for value in row["right"])
        if row["condition"] not in ("text", "image") or not right or not all(0 <= value <= 1 for value in right):
            return None
        return GapRecord(
            recipe=_name(row.get("recipe")) or "model",
            seed=int(row.get("seed") or 0),
            step=int(row.get("step") or 0),
            problem=str(row["problem"]),
            kind=_name(row.get("kind")),
            rendering=_name(row.get("rendering")),
            condition=row["condition"],
            right=right,
            answers=tuple(None if answer is None else str(answer) for answer in row.get("answers") or ()),
            tokens=tuple(int(count) for count in row.get("tokens") or ()),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return None
