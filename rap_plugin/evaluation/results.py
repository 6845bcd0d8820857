"""Results of lmms-eval and VLMEvalKit runs of our tasks, read back as records."""

from __future__ import annotations

import json
import math
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
SHARES = ("unread", "contradictory", "unjudged", "judged")


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
    unreadable: int = 0
    """records that are none, left out"""


def read_results(paths: Sequence[Path]) -> tuple[list[Result], list[str]]:
    """(results, one line for everything that could not be used) of files and folders of either host.

    A later file wins over an earlier one of the same model and task; that is told where they lie in two folders, which
    may hold two models of one name. Raises RapError when nothing can be used.
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
                    key = (result.model, result.task, result.variant)
                    told = [_damage(result), _refusal(result), _replaced(found.get(key), result)]
                    problems += [line for line in told if line]
                    if told[1] is None:
                        found[key] = result
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


def _damage(result: Result) -> str | None:
    if not result.unreadable:
        return None
    return f"{result.source}: {result.unreadable:,} records of {result.task} that cannot be read"


def _replaced(earlier: Result | None, later: Result) -> str | None:
    if earlier is None or _refusal(later) or earlier.records == later.records:
        return None  # VLMEvalKit links every file of a run into the folder above it.
    if Path(earlier.source).parent == Path(later.source).parent:
        return None
    return (
        f"{earlier.source}: {later.task} of {later.model!r} is in {later.source} too, and the later one counts; give two "
        "models two names"
    )


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
    name, facts, rows = content.get("dataset"), content.get("facts"), content.get("records")
    if not isinstance(facts, dict) or not isinstance(rows, list):
        raise RapError(f"{path}: holds no facts or no records; score the predictions again")
    if not isinstance(name, str) or name not in DATASETS:
        raise RapError(f"{path}: no data set {str(name)[:60]!r} in this version")
    benchmark, part, blind = DATASETS[name]
    model = path.name.removesuffix(VLMEVAL_SCORES).removesuffix(f"_{name}")
    sound = [sound_record(row) for row in rows]
    records = {record["id"]: record for record in sound if record is not None}
    task = find_benchmark(benchmark).task(part)
    return Result(model, task, "blind" if blind else "", facts, records, None, str(path), sound.count(None))


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
        records, tokens, unreadable = _samples(samples)
        known = facts if isinstance(facts, dict) else {}
        found.append(Result(model, task, variant, known, records, tokens, str(path), unreadable))
    if not found:
        raise RapError(f"{path}: no rap_ task among its results")
    return found


def _samples(path: Path) -> tuple[dict[str, Record], float | None, int]:
    """(records by id, mean tokens, lines that are no records). Half a line at the end, where a run was cut off, is not
    counted."""
    records: dict[str, Record] = {}
    counts: list[float] = []
    unreadable = 0
    if not path.is_file():
        return records, None, 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in filter(str.strip, file):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                unreadable += line.endswith("\n")
                continue
            record = sound_record(row.get("accuracy") if isinstance(row, dict) else None)
            if record is None:
                unreadable += 1
                continue
            records[record["id"]] = record
            counts += _tokens(row.get("token_counts"))
    return records, sum(counts) / len(counts) if counts else None, unreadable


def _tokens(held: Any) -> list[float]:
    """Numbers of tokens, one a response; a count that is no number is none."""
    found = [one for one in held if isinstance(one, dict)] if isinstance(held, list) else []
    return [float(one["output_tokens"]) for one in found if _number(one.get("output_tokens"))]


def sound_record(value: Any) -> Record | None:
    """A record that every measure can compute with: an id, a score from 0 to 1 or none, shares and groups. None for
    anything else."""
    if not isinstance(value, dict) or not isinstance(value.get("id"), (str, int)):
        return None
    score, groups, further = value.get("score"), value.get("groups") or {}, value.get("extra") or {}
    numbers = [value[name] for name in SHARES if name in value]
    if score is not None:
        numbers.append(score)
    if not isinstance(groups, dict) or not isinstance(further, dict):
        return None
    span = value.get("span")
    if not (isinstance(span, list) and len(span) == 2 and all(isinstance(place, int) for place in span)):
        span = None
    if not all(_number(number) and 0 <= number <= 1 for number in numbers):
        return None
    return {
        **value,
        "id": str(value["id"]),
        "score": score,
        "rule_errors": value["rule_errors"] if _number(value.get("rule_errors")) else 0,
        "status": str(value.get("status") or ""),
        "outcome": str(value.get("outcome") or "read"),
        "said": str(value.get("said") or ""),
        "gold": str(value.get("gold") or ""),
        "reason": str(value.get("reason") or ""),
        "span": span,
        "groups": {str(name): str(held) for name, held in groups.items() if held is not None},
        "extra": {str(name): held for name, held in further.items() if _number(held)},
    }


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
