"""Results of lmms-eval and rap-vlmeval as records: PGPS9K in its two tasks, MathVerse in its versions, no judge needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rap_plugin.errors import RapError
from rap_plugin.evaluation.benchmarks.mathverse import TEXT, VISION
from rap_plugin.evaluation.results import Result, read_results
from rap_plugin.modality_gap.records import FILE, Condition, GapRecord, read_records

Sides = Mapping[str, Condition]
"""Task to the condition that it shows."""

PAIRS: dict[str, Sides] = {
    "PGPS9K": {"pgps9k_text": "text", "pgps9k_image": "image"},
    "MathVerse, text dominant - vision only": {"mathverse_text_dominant": "text", "mathverse_vision_only": "image"},
    "MathVerse, text - vision": {
        **{f"mathverse_{name}": "text" for name in TEXT},
        **{f"mathverse_{name}": "image" for name in VISION},
    },
}
"""The pairs of a benchmark's tasks whose difference is its gap; the last is the published grouping of MathVerse."""


def read_all(paths: Sequence[Path]) -> tuple[list[GapRecord], list[str]]:
    """(records, one line for everything that could not be used) of trainings, measurements and evaluation hosts.

    Raises RapError where nothing can be used.
    """
    records: list[GapRecord] = []
    problems: list[str] = []
    for path in paths:
        if not path.exists():
            raise RapError(
                f"{path}: no such file or folder; give folders with {FILE}, or results of an evaluation host"
            )
        ours = path.name.endswith(".jsonl") if path.is_file() else any(path.rglob(FILE))
        try:
            found, bad = read_records([path]) if ours else _from_hosts(path)
            records += found
            problems += bad
        except RapError as error:
            problems.append(str(error))
    if not records:
        raise RapError(problems[0] if problems else "nothing given")
    return records, problems


def _from_hosts(path: Path) -> tuple[list[GapRecord], list[str]]:
    results, problems = read_results([path])
    records = [record for title, sides in PAIRS.items() for record in _pair(title, sides, results)]
    if not records:
        raise RapError(f"{path}: no model with both tasks of a pair; evaluate rap_pgps9k_text and rap_pgps9k_image")
    return records, problems


def _pair(title: str, sides: Sides, results: Sequence[Result]) -> Iterator[GapRecord]:
    held = {(result.model, result.task): result for result in results if not result.variant}
    for model in dict.fromkeys(result.model for result in results):
        if not all((model, task) in held for task in sides):
            continue
        for task, condition in sides.items():
            for key, record in held[model, task].records.items():
                if record["score"] is None:
                    continue
                groups = record.get("groups") or {}
                yield GapRecord(
                    recipe=f"{model}: {title}",
                    seed=0,
                    step=0,
                    problem=str(groups.get("problem", key)),
                    kind=str(groups.get("type") or groups.get("subject") or ""),
                    rendering=task if len(sides) > 2 else "",
                    condition=condition,
                    right=(float(record["score"]),),
                    answers=(str(record["said"]) or None,) if "said" in record else (),
                )
