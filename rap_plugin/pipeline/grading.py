"""Grades what engines answered: the configured grader, run over the responses that it has not graded yet."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence

from rap_plugin.config import RunConfig
from rap_plugin.errors import RapError, one_line
from rap_plugin.evidence.records import LedgerEntry
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.grading import Grade, GradeItem, Grader, GradingOptions, open_grader
from rap_plugin.plugins import Registry
from rap_plugin.rollout import Arm

GRADE_BATCH = 2000
"""Responses graded between two commits."""


def grade_pending(
    store: EvidenceStore, grader: Grader, probes: Sequence[int], *, samples: Sequence[int] | None = None
) -> int:
    """Grades every answered rollout that this grader has not graded yet; returns how many. Needs no engine."""
    total, after = 0, (-1, -1, -1)
    while batch := store.ungraded(probes, grader.id, samples=samples, after=after, limit=GRADE_BATCH):
        started = time.perf_counter()
        grades = _grade(grader, [GradeItem(*row[3:6], reward=row[6]) for row in batch])
        cost = LedgerEntry("grade", time.perf_counter() - started, len(batch))
        store.set_grades(grader.id, [(*row[:3], grade) for row, grade in zip(batch, grades, strict=True)], cost)
        after = batch[-1][:3]
        total += len(batch)
    return total


def _grade(grader: Grader, items: list[GradeItem]) -> list[Grade]:
    """One grade per item. Raises RapError that names the grader where it fails; responses are stored by then."""
    try:
        grades = list(grader.grade(items))
        if len(grades) != len(items):
            raise ValueError(f"{len(grades)} grades for {len(items)} responses")
    except RapError:
        raise
    except Exception as error:
        raise RapError(
            f"grader {grader.id} failed ({one_line(error)}); responses are kept, mend it or take another"
        ) from error
    return grades


def make_grader(config: RunConfig, registry: Registry) -> Grader:
    """The configured grader; its workers start at the first response that needs one."""
    options = GradingOptions(
        timeout_s=config.grading.timeout_s,
        workers=config.grading.workers,
        format_weight=config.format_weight,
        right_at=config.grading.right_at,
        rtol=config.grading.rtol,
        alternatives=config.grading.alternatives,
    )
    return open_grader(config.grading.grader, options=options, registry=registry.things["graders"])


def grader_key(config: RunConfig) -> str:
    """What the stored grades depend on besides the responses."""
    return json.dumps({**config.grading.model_dump(), "format_weight": config.format_weight}, sort_keys=True)


def grade_rest(store: EvidenceStore, grader: Grader, probes: Mapping[Arm, int], config: RunConfig) -> None:
    grade_pending(store, grader, list(probes.values()))
    store.set_meta("grader", grader_key(config))
