"""What is measured over the marked responses of a benchmark, as plain functions over records.

A record is the grade of a response with the problem's id, gold and groups (`record_of`). A measure over no records is None.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rap_plugin.evaluation.grade import BenchmarkGrade
from rap_plugin.evaluation.item import BenchmarkItem

Record = Mapping[str, Any]
Records = Sequence[Record]


@dataclass(frozen=True)
class Measure:
    """A named function over records."""

    name: str
    of: Callable[[Records], float | None]
    higher_is_better: bool = True


def record_of(item: BenchmarkItem, grades: Sequence[BenchmarkGrade]) -> dict[str, Any]:
    """The record of one problem, as result files hold it. Over several responses the score is the mean of those that
    have one; verdict, answer and reason are those of the first response."""
    scores = [grade.score for grade in grades if grade.score is not None]
    first = grades[0]
    extra = {name: sum(grade.extra[name] for grade in grades) / len(grades) for name in first.extra}
    return {
        "id": item.id,
        "score": sum(scores) / len(scores) if scores else None,
        "status": first.verdict,
        "said": first.extracted[:500],
        "gold": item.gold,
        "judged": sum(grade.judged for grade in grades) / len(grades),
        "unread": sum(grade.verdict == "unread" for grade in grades) / len(grades),
        "contradictory": sum(grade.outcome == "contradictory" for grade in grades) / len(grades),
        "unjudged": sum(grade.score is None for grade in grades) / len(grades),
        "rule_errors": sum(grade.rule_failed for grade in grades),
        "outcome": first.outcome,
        "span": None if first.span is None else list(first.span),
        "reason": first.reason,
        "groups": dict(item.groups),
        **({"extra": extra} if extra else {}),
    }


def _mean(values: Iterable[float]) -> float | None:
    held = list(values)
    return sum(held) / len(held) if held else None


def accuracy(records: Records) -> float | None:
    """Mean score of the records that have one."""
    return _mean(record["score"] for record in records if record["score"] is not None)


def at_least(records: Records) -> float | None:
    """Mean score if every unjudged response were wrong: the lower bound of what a judge could find."""
    return _mean(record["score"] or 0.0 for record in records)


def at_most(records: Records) -> float | None:
    """Mean score if every unjudged response were right: the upper bound."""
    return _mean(1.0 if record["score"] is None else record["score"] for record in records)


def share(name: str) -> Callable[[Records], float | None]:
    """Mean of `unread`, `contradictory`, `unjudged` or `judged`."""
    return lambda records: _mean(record.get(name, 0.0) for record in records)


COMMON = (
    Measure("accuracy", accuracy),
    Measure("unread", share("unread"), higher_is_better=False),
    Measure("contradictory", share("contradictory"), higher_is_better=False),
    Measure("unjudged", share("unjudged"), higher_is_better=False),
    Measure("judged", share("judged"), higher_is_better=False),
)
"""Measures of every benchmark."""


def rule_errors(records: Iterable[Record]) -> str | None:
    """One line about the responses that a rule failed on, with the first reason; None when there are none."""
    failed = [record for record in records if record.get("rule_errors")]
    count = sum(record["rule_errors"] for record in failed)
    if not count:
        return None
    return f"a reading rule failed on {count:,} responses, which count as unread; the first: {failed[0]['reason']}"


def slug(text: str) -> str:
    """A measure's name, made of a group's value: "science & technology" -> "science_technology"."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def where(name: str, value: str, measure: str = "") -> Measure:
    """Accuracy over the records whose group holds a value, "math" or one of "math|ocr"."""

    def of(records: Records) -> float | None:
        return accuracy([r for r in records if value.lower() in r["groups"].get(name, "").lower().split("|")])

    return Measure(measure or slug(value), of)


def mean_over(name: str, measure: str) -> Measure:
    """Mean of the accuracies of a group's values, each counting the same."""

    def of(records: Records) -> float | None:
        values: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            values[record["groups"].get(name, "")].append(record)
        found = [accuracy(part) for part in values.values()]
        return _mean(one for one in found if one is not None)

    return Measure(measure, of)


def all_right(name: str, size: int, measure: str) -> Measure:
    """Share of the groups of `size` records in which every one is right (MMVP's pairs); groups that are not whole,
    as under a limit, do not count."""

    def of(records: Records) -> float | None:
        sets: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            sets[record["groups"].get(name, "")].append(record)
        whole = [held for held in sets.values() if len(held) == size]
        return _mean(float(all(record["score"] == 1 for record in held)) for held in whole)

    return Measure(measure, of)


def extra(name: str) -> Measure:
    """Mean of a further measure of the responses."""
    return Measure(name, lambda records: _mean(r["extra"][name] for r in records if name in r.get("extra", {})))


def precision(records: Records) -> float | None:
    """Of the responses that say yes, how many are right."""
    return _mean(float(record["gold"] == "yes") for record in records if record["said"] == "yes")


def recall(records: Records) -> float | None:
    """Of the problems whose answer is yes, how many responses say it."""
    return _mean(float(record["said"] == "yes") for record in records if record["gold"] == "yes")


def f1(records: Records) -> float | None:
    """Harmonic mean of precision and recall of "yes" (POPE, arXiv 2305.10355)."""
    found, held = precision(records), recall(records)
    if held is None:
        return None
    return 2 * found * held / (found + held) if found and held else 0.0


def yes_ratio(records: Records) -> float | None:
    """Share of the responses that say yes."""
    return _mean(float(record["said"] == "yes") for record in records)


def problem_sets(records: Records) -> list[tuple[list[bool], bool]]:
    """WeMath's problems, as (sub-problems right, composite problem right); those that are not whole are left out.

    A record's groups give the composite problem's id and the key "2steps_1" .. "3steps_multi".
    """
    sets: dict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    for record in records:
        steps, _, place = record["groups"].get("key", "").partition("steps_")
        sets[record["groups"].get("problem", ""), steps][place] = record["score"] == 1
    return [
        ([held[str(i + 1)] for i in range(int(steps))], held["multi"])
        for (_, steps), held in sets.items()
        if steps in ("2", "3") and set(held) == {"multi", *(str(i + 1) for i in range(int(steps)))}
    ]


def wemath(records: Records) -> dict[str, float] | None:
    """WeMath's four-dimensional measures (arXiv 2407.01284), as shares of the composite problems.

    Insufficient knowledge: composite and some sub-problem wrong. Inadequate generalisation: composite wrong, all
    sub-problems right. Complete mastery: composite right and all (strict) or some (loose) sub-problems right. Rote
    memorisation: composite right and some (strict) or all (loose) sub-problems wrong; its rate is over the composites
    that are right. Score = 1 - 0.5 * IG - RM - IK.
    """
    sets = problem_sets(records)
    if not sets:
        return None
    total = len(sets)
    right = [steps for steps, composite in sets if composite]
    wrong = [steps for steps, composite in sets if not composite]
    general = sum(all(steps) for steps in wrong)
    lacking = len(wrong) - general
    rote = {"strict": sum(not all(steps) for steps in right), "loose": sum(not any(steps) for steps in right)}
    found = {"insufficient_knowledge": lacking / total, "inadequate_generalization": general / total}
    for name, count in rote.items():
        found[f"complete_mastery_{name}"] = (len(right) - count) / total
        found[f"rote_memorization_{name}"] = count / len(right) if right else 0.0
        found[f"score_{name}"] = (total - 0.5 * general - count - lacking) / total
    return found


def wemath_measure(name: str, *, higher_is_better: bool = True) -> Measure:
    """One of `wemath`'s measures."""

    def of(records: Records) -> float | None:
        found = wemath(records)
        return None if found is None else found[name]

    return Measure(name, of, higher_is_better)
