"""Results of lmms-eval and VLMEvalKit runs of our tasks, read back as records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rap_plugin.errors import RapError, one_line
from rap_plugin.evaluation.benchmarks import find_benchmark
from rap_plugin.evaluation.grade import SCORER
from rap_plugin.evaluation.measures import Record
from rap_plugin.evaluation.task_names import DATASETS, Variant, split_name

LMMS_RESULTS = "_results.json"
VLMEVAL_SCORES = "_rap_scores.json"
FORMAT = "rap-vlmeval-scores"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Result:
    """One model on one task."""

    model: str
    task: str
    """name without prefix, "mathverse_vision_only" """
    variant: Variant
    facts: Mapping[str, Any]
    """what the result depends on: scorer, data, prompt, judge"""
    records: Mapping[str, Record] = field(repr=False)
    """by problem id"""
    tokens: float | None
    """mean number of tokens of a response, where the host counts them"""
    source: str


def read_results(paths: Sequence[Path]) -> tuple[list[Result], list[str]]:
    """(results, one line for everything that could not be used) of files and folders of either host.

    A later file wins over an earlier one of the same model and task. Raises RapError when nothing can be used.
    """
    found: dict[tuple[str, str, str], Result] = {}
    problems: list[str] = []
    for path in paths:
        files = _files(path)
        if not files:
            problems.append(f"{path}: no results of lmms-eval (*{LMMS_RESULTS}) or rap-vlmeval (*{VLMEVAL_SCORES})")
        for file in files:
            try:
                for result in _read(file):
                    problem = _refusal(result)
                    if problem:
                        problems.append(problem)
                    else:
                        found[result.model, result.task, result.variant] = result
            except RapError as error:
                problems.append(str(error))
    if not found:
        raise RapError(
            problems[0] if problems else "no results given; name files or folders of lmms-eval or rap-vlmeval"
        )
    return list(found.values()), problems


def _refusal(result: Result) -> str | None:
    scorer = result.facts.get("scorer")
    if scorer != f"rap {SCORER}":
        return f"{result.source}: {result.task} was scored by {scorer}, this is rap {SCORER}; evaluate it again"
    if not result.records:
        return f"{result.source}: {result.task} has no record of single responses; run lmms-eval with --log_samples"
    return None


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = [file for file in path.rglob("*.json") if file.name.endswith((LMMS_RESULTS, VLMEVAL_SCORES))]
    return sorted(found, key=lambda file: (file.stat().st_mtime, file.name))


def _read(path: Path) -> Iterable[Result]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RapError(f"{path}: cannot be read ({one_line(error, 100)})") from None
    if isinstance(content, dict) and content.get("format") == FORMAT:
        return [_vlmeval(path, content)]
    if (
        isinstance(content, dict)
        and isinstance(content.get("configs"), dict)
        and isinstance(content.get("results"), dict)
    ):
        return _lmms(path, content)
    raise RapError(f"{path}: neither results of lmms-eval nor scores of rap-vlmeval")


def _vlmeval(path: Path, content: Mapping[str, Any]) -> Result:
    if content.get("version") != FORMAT_VERSION:
        raise RapError(
            f"{path}: written by another version (format {content.get('version')}); score the predictions again"
        )
    name = content["dataset"]
    if name not in DATASETS:
        raise RapError(f"{path}: no data set {name!r} in this version")
    benchmark, part, blind = DATASETS[name]
    model = path.name.removesuffix(VLMEVAL_SCORES).removesuffix(f"_{name}")
    records = {record["id"]: record for record in content["records"]}
    task = find_benchmark(benchmark).task(part)
    return Result(model, task, "blind" if blind else "", content["facts"], records, None, str(path))


def _lmms(path: Path, content: Mapping[str, Any]) -> Iterable[Result]:
    model = str(content.get("model_name") or content.get("model_source") or path.parent.name)
    found = []
    for name, config in content["configs"].items():
        try:
            task, variant = split_name(name)
        except KeyError:
            continue
        facts = config.get("metadata") if isinstance(config, dict) else None
        samples = path.with_name(path.name.replace(LMMS_RESULTS, f"_samples_{name}.jsonl"))
        records, tokens = _samples(samples)
        known = facts if isinstance(facts, dict) else {}
        found.append(Result(model, task, variant, known, records, tokens, str(path)))
    if not found:
        raise RapError(f"{path}: no rap_ task among its results")
    return found


def _samples(path: Path) -> tuple[dict[str, Record], float | None]:
    """(records by id, mean tokens). Lines that cannot be read are left out: a run that was cut off ends in half a line."""
    records: dict[str, Record] = {}
    counts: list[int] = []
    if not path.is_file():
        return records, None
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                row = json.loads(line)
                record = row["accuracy"]
                records[record["id"]] = {"score": None, **record}
            except (ValueError, KeyError, TypeError):
                continue
            held = row.get("token_counts") or []
            counts += [
                one["output_tokens"] for one in held if isinstance(one, dict) and one.get("output_tokens") is not None
            ]
    return records, sum(counts) / len(counts) if counts else None
