"""Scores a VLMEvalKit prediction file and writes what each response was worth beside it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.evaluation.benchmarks import Benchmark, find_benchmark
from rap_plugin.evaluation.grade import SCORER
from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.judge import Judge, JudgeName, judge_from_environment
from rap_plugin.evaluation.measures import COMMON, record_of, rule_errors
from rap_plugin.evaluation.predictions import Prediction, read_rows
from rap_plugin.evaluation.prepare import require_part
from rap_plugin.evaluation.prepared_data import read_items
from rap_plugin.evaluation.prompts import PROMPT_HASH
from rap_plugin.evaluation.results import FORMAT, FORMAT_VERSION, VLMEVAL_SCORES
from rap_plugin.evaluation.scoring import score_response
from rap_plugin.evaluation.task_names import DATASETS

FAILED = "Failed to obtain answer"
"""What VLMEvalKit puts in the place of a response that it did not get."""


def score_file(name: str, path: Path, options: Mapping[str, Any]) -> dict[str, float]:
    """Measures of a prediction file in percent; shares such as `unread` too.

    Writes PATH's name + "_rap_scores.json": facts (data, scorer, prompt, judge), measures, one record per response.
    A judge is asked only when `RAP_JUDGE` names one, or `--judge` came with `--judge-base-url`. Raises RapError.
    """
    benchmark_name, part, _ = DATASETS[name]
    benchmark = find_benchmark(benchmark_name)
    source, facts = require_part(benchmark, part)
    judge = _judge(options)
    items = list(read_items(source, images=False))
    predictions, notes = read_rows(path)
    pairs = [(_problem_of(one, items, name, path), _said(one.response)) for one in predictions]
    with ThreadPoolExecutor(max_workers=max(1, int(options.get("nproc") or 4))) as threads:
        grades = threads.map(lambda pair: score_response(pair[0], pair[1], judge), pairs)
        records = [record_of(item, [grade]) for (item, _), grade in zip(pairs, grades, strict=True)]
    measures = {one.name: one.of(records) for one in (*COMMON, *benchmark.measures)}
    found = {key: 100 * value for key, value in measures.items() if value is not None}
    judged = judge.facts if judge else {"judge": "none"}
    document = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "dataset": name,
        "facts": {"scorer": f"rap {SCORER}", "headline": benchmark.headline, "prompt": PROMPT_HASH, **facts, **judged},
        "measures": measures,
        "records": records,
    }
    target = path.with_name(f"{path.stem}{VLMEVAL_SCORES}")
    missing = _missing_rows_note(benchmark, measures, len(records), facts["rows"])
    for line in (*notes, missing, rule_errors(records)):
        if line:
            print(f"rap: {name}: {line}", file=sys.stderr)
    target.write_text(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    return dict(sorted(found.items(), key=lambda kv: (kv[0] != benchmark.headline, kv[0] != "accuracy")))


def _problem_of(prediction: Prediction, items: Sequence[BenchmarkItem], name: str, path: Path) -> BenchmarkItem:
    """The problem that a row answers. Raises RapError where its index or its id is one of other data: the answers
    would be held against the golds of other problems."""
    index = prediction.index
    if not 0 <= index < len(items):
        raise RapError(
            f"{path}: index {index} is not in {name}, which has {len(items)} rows; predictions of other data?"
        )
    item = items[index]
    if _same_id(prediction.id, item.id):
        return item
    raise RapError(
        f"{path}: row {index} answers problem {prediction.id[:60]!r}, which is {item.id[:60]!r} in {name}; predictions of "
        "other data?"
    )


def _same_id(given: str, known: str) -> bool:
    """Tables change ids that look like numbers ("007", "1.0") or like nothing ("NA", "")."""
    if given.lower() in ("", "nan", "none") or given == known:
        return True
    try:
        return float(given) == float(known)
    except ValueError:
        return known.strip() == given or known.lower() in ("na", "nan", "none", "null", "n/a")


def _said(response: str) -> str:
    return "" if response.startswith(FAILED) else response


def _missing_rows_note(benchmark: Benchmark, measures: Mapping[str, float | None], count: int, rows: int) -> str | None:
    """What the cited measure is over when only some rows were answered, as under `--limit`: composite problems and
    pairs count only when all of their rows are there."""
    if count >= rows:
        return None
    only = f"{count:,} of {rows:,} rows were answered"
    if benchmark.headline == "accuracy":
        return f"{only}: accuracy is over those alone"
    if measures[benchmark.headline] is None:
        return f"{only}, which leaves no whole set for {benchmark.headline}: the primary metric here is accuracy"
    return f"{only}: {benchmark.headline} is over the whole sets among them"


def _judge(options: Mapping[str, Any]) -> Judge | None:
    base = str(options.get("api_base") or "")
    if base and options.get("model"):
        judge = Judge(JudgeName(str(options["model"]), base.removesuffix("/chat/completions")), options.get("key"))
        judge.check()
        return judge
    return judge_from_environment()
