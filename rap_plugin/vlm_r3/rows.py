"""The graded rows of a run, read from its evidence: what every measure is computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.traces import read_traces
from rap_plugin.vlm_r3.trace import Trace

CHUNK = 500


@dataclass(frozen=True, slots=True)
class GradedRow:
    """One answer with how it came about."""

    sample: int
    rollout: int
    trace: Trace
    right: bool | None
    """None where the answer could not be judged."""
    said: str
    """The answer that was read; empty where none was."""


def graded_rows(store: EvidenceStore, probe: int) -> dict[tuple[int, int], GradedRow]:
    """By (sample number, rollout). An answer that says nothing readable is wrong; an engine's failure is left out."""
    traces = {(sample, rollout): Trace.from_json(text) for sample, rollout, text in read_traces(store, probe)}
    found: dict[tuple[int, int], GradedRow] = {}
    samples = sorted({sample for sample, _ in traces})
    for start in range(0, len(samples), CHUNK):
        for record in store.records({"image": probe}, samples[start : start + CHUNK]):
            key = (record.sample, record.rollout)
            if key not in traces or record.status == "engine_error":
                continue
            right = record.verdict == "right" if record.verdict in ("right", "wrong") else None
            found[key] = GradedRow(*key, traces[key], right, record.extracted or "")
    return found


def accuracy(rows: Sequence[GradedRow]) -> tuple[int, int]:
    """(right, judged)."""
    judged = [row for row in rows if row.right is not None]
    return sum(bool(row.right) for row in judged), len(judged)


def by_sample(rows: Mapping[tuple[int, int], GradedRow]) -> dict[int, float]:
    """The share of right answers of every sample that has judged ones."""
    right: dict[int, list[bool]] = {}
    for (sample, _), row in rows.items():
        if row.right is not None:
            right.setdefault(sample, []).append(row.right)
    return {sample: sum(marks) / len(marks) for sample, marks in right.items()}
