"""A benchmark's own measures over the answers of a run: MMVP's pairs, CV-Bench's mean over its sources, and so on.

The answers are scored as in the evaluation hosts, by the benchmark's rules (and by a judge where RAP_JUDGE names one), from the prepared file that the run was made from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.evaluation import score_response
from rap_plugin.evaluation.benchmarks import BENCHMARKS, Benchmark
from rap_plugin.evaluation.judge import judge_from_environment
from rap_plugin.evaluation.measures import COMMON, record_of
from rap_plugin.evaluation.prepared_data import read_items
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.plugins import get_plugins
from rap_plugin.run_dir.pool import open_pool_of
from rap_plugin.vlm_r3.rows import GradedRow

SHOWN = ("accuracy", "unread")
"""Of the measures that every benchmark has."""


def official_measures(
    run: Path, about: Mapping[str, Any], store: EvidenceStore, rows: Mapping[tuple[int, int], GradedRow]
) -> dict[str, Any] | None:
    """The measures by name, None where the run's pool is no prepared part of a benchmark; `problem` where it is not there."""
    benchmark = _benchmark_of(about["config"]["pool"]["path"], about)
    if benchmark is None:
        return None
    named = {"benchmark": benchmark.name, "title": benchmark.title, "headline": benchmark.headline}
    try:
        pool = open_pool_of(run, about, store, get_plugins().registry().things["formats"])
        items = list(read_items(Path(pool.path), images=False))
    except RapError as error:
        return {**named, "problem": str(error)}
    answers: dict[int, list[str]] = {}
    for (sample, _), row in sorted(rows.items()):
        answers.setdefault(sample, []).append(row.trace.answer)
    judge = judge_from_environment()
    records = [
        record_of(items[sample.row], [score_response(items[sample.row], one, judge) for one in answers[sample.sample]])
        for sample in store.samples()
        if sample.sample in answers
    ]
    kept = [one for one in COMMON if one.name in SHOWN]
    measures = {one.name: one.of(records) for one in (*kept, *benchmark.measures)}
    return {**named, "measures": measures, "rows": len(records), "of": len(items)}


def _benchmark_of(path: str, about: Mapping[str, Any]) -> Benchmark | None:
    """Told by the manifest beside the file, or by the folder's name where the file is no longer there."""
    place = Path((about.get("pool") or {}).get("path") or path)
    if place.suffix != ".parquet":
        return None
    try:
        name = json.loads((place.parent / "manifest.json").read_text("utf-8"))["benchmark"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return BENCHMARKS.get(name) if isinstance(name, str) else None
