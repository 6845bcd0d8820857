"""Values for the YAML files that are known only when a task is loaded: `!function rap_plugin.lmms_tasks.values.NAME`.

lmms-eval looks a `!function` up as an attribute and takes whatever it is, so an attribute made on demand can be a
dictionary. NAME is data__TASK, facts__TASK, results__BENCHMARK or measure__BENCHMARK__MEASURE.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.evaluation.benchmarks import BENCHMARKS, find_task
from rap_plugin.evaluation.grade import SCORER
from rap_plugin.evaluation.judge import judge_from_environment
from rap_plugin.evaluation.measures import COMMON, Record, rule_errors
from rap_plugin.evaluation.prepare import require_part
from rap_plugin.evaluation.prompts import PROMPT_HASH
from rap_plugin.lmms_tasks import functions


class Stop(SystemExit):
    """Ends lmms-eval before anything was generated, with one line and status 1: it would print an exception with a
    page of trace and go on without the task."""

    def __init__(self, error: RapError) -> None:
        super().__init__(f"rap: {error}")


def data_files(task: str) -> dict[str, Any]:
    """`dataset_kwargs` of a task: the prepared Parquet file."""
    benchmark, part = find_task(task)
    try:
        path, _ = require_part(benchmark, part.name)
    except RapError as error:
        raise Stop(error) from None
    return {"data_files": {"test": str(path)}}


def facts(task: str) -> dict[str, Any]:
    """`metadata` of a task: what its results depend on beside the model."""
    benchmark, part = find_task(task)
    try:
        judge = judge_from_environment()
        _, held = require_part(benchmark, part.name)
    except RapError as error:
        raise Stop(error) from None
    return {
        "version": SCORER,
        "scorer": f"rap {SCORER}",
        "headline": benchmark.headline,
        "prompt": PROMPT_HASH,
        **held,
        **(judge.facts if judge else {"judge": "none"}),
    }


def measure(benchmark: str, name: str) -> Callable[[Sequence[Any]], float]:
    """The aggregation of one measure over records; not a number where there is nothing to measure, because lmms-eval
    computes with what it gets."""
    found = next(one for one in (*COMMON, *BENCHMARKS[benchmark].measures) if one.name == name)

    def aggregate(items: Sequence[Any]) -> float:
        records = [_record(item) for item in items]
        problem = rule_errors(records) if name == "unread" else None
        if problem:
            print(f"rap: {benchmark}: {problem}", file=sys.stderr)
        value = found.of(records)
        return float("nan") if value is None else value

    return aggregate


def results(benchmark: str) -> Callable[..., dict[str, Any]]:
    """`process_results` of a benchmark's tasks."""
    measures = tuple(one.name for one in (*COMMON, *BENCHMARKS[benchmark].measures))

    def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
        return functions.process_results(doc, results, measures)

    return process_results


def _record(item: Any) -> Record:
    record = getattr(item, "record", item)
    return record if "score" in record else {**record, "score": None}


def __getattr__(name: str) -> Any:
    kind, _, rest = name.partition("__")
    try:
        if kind == "data":
            return data_files(rest)
        if kind == "facts":
            return facts(rest)
        if kind == "results":
            return results(rest)
        if kind == "measure":
            return measure(*rest.split("__"))
    except (KeyError, StopIteration, TypeError):
        pass
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
