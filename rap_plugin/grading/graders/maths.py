"""`math`: equal as mathematics. What is certain is decided here, the rest by math-verify in workers."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from rap_plugin.grading.base import (
    Grade,
    GradeItem,
    GradingOptions,
    Opinion,
    gold_is_empty,
    grade_from,
    grader_id,
)
from rap_plugin.grading.reading.answers import find_answer, well_formatted
from rap_plugin.grading.reading.formulas import (
    MAX_ANSWER_CHARS,
    MAX_NESTING,
    answer_as_math,
    is_words,
    nesting,
    quick_compare,
    same_words,
)
from rap_plugin.grading.workers.processes import Reply, WorkerPool


def _versions() -> dict[str, str]:
    """Versions of what decides in the workers: another one may decide otherwise."""
    found = {}
    for package in ("math-verify", "latex2sympy2_extended", "sympy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def math_pool(options: GradingOptions) -> WorkerPool:
    """The workers that compare formulas."""
    return WorkerPool(
        {"kind": "math"},
        workers=options.workers,
        timeout_s=options.timeout_s,
        memory_mb=options.memory_mb,
        what="the math grader",
    )


def quick_opinion(item: GradeItem, rtol: float) -> tuple[Opinion | None, str]:
    """(opinion, answer) where no worker is needed, else (None, answer to compare)."""
    answer = find_answer(item.response)
    unusable = check_math_gold(item.gold)
    if unusable:
        return Opinion("ungradable", answer.text, unusable), ""
    gold = item.gold.strip()
    if len(answer.text) > MAX_ANSWER_CHARS:
        reason = f"the answer is {len(answer.text)} characters long"
        return Opinion("wrong", answer.text, reason), ""
    if is_words(gold):
        same = same_words(gold, answer)
        return Opinion("right" if same else "wrong", answer.text, "" if same else "another text"), ""
    said = answer_as_math(answer)
    if not said:
        return Opinion("wrong", "", "no answer found"), ""
    if nesting(said) > MAX_NESTING:
        return Opinion("wrong", said, "brackets nested too deeply"), ""
    equal = quick_compare(gold, said, rtol)
    if equal is None:
        return None, said
    return Opinion("right" if equal else "wrong", said, "" if equal else "another value"), said


def check_math_gold(gold: str) -> str | None:
    """None when a gold answer can be compared as mathematics, else why not."""
    if len(gold) > MAX_ANSWER_CHARS:
        return f"the gold answer is {len(gold)} characters long, more than {MAX_ANSWER_CHARS}"
    if nesting(gold) > MAX_NESTING:
        return f"the gold answer nests brackets deeper than {MAX_NESTING}"
    return gold_is_empty(gold)


def opinion_of_reply(reply: Reply, said: str) -> Opinion:
    """A worker's reply as an opinion."""
    if "timeout" in reply:
        return Opinion("timeout", said, f"no verdict within {reply['timeout']:g} s")
    if "failed" in reply:
        return Opinion("ungradable", said, str(reply["failed"]))
    return Opinion(reply["verdict"], said, str(reply["reason"]))


def math_opinions(items: Sequence[GradeItem], pool: WorkerPool, rtol: float) -> list[Opinion]:
    """One opinion per item; only the uncertain ones go to workers, each distinct comparison once."""
    quick = [quick_opinion(item, rtol) for item in items]
    asked: dict[tuple[str, str], int] = {}
    for item, (opinion, said) in zip(items, quick, strict=True):
        if opinion is None:
            asked.setdefault((item.gold.strip(), said), len(asked))
    replies = pool.map([{"gold": gold, "said": said, "rtol": rtol} for gold, said in asked])
    return [
        opinion if opinion is not None else opinion_of_reply(replies[asked[item.gold.strip(), said]], said)
        for item, (opinion, said) in zip(items, quick, strict=True)
    ]


class MathGrader:
    """Mathematical equality, tolerant where a person would be; see docs/grading.md."""

    def __init__(self, options: GradingOptions) -> None:
        self._options = options
        self._pool = math_pool(options)
        self.id = grader_id(
            "math",
            1,
            format_weight=options.format_weight,
            rtol=options.rtol,
            timeout_s=options.timeout_s,
            memory_mb=options.memory_mb,
            **_versions(),
        )

    def check_gold(self, gold: str, question: str = "") -> str | None:
        return check_math_gold(gold)

    def grade(self, items: Sequence[GradeItem]) -> list[Grade]:
        opinions = math_opinions(items, self._pool, self._options.rtol)
        return [
            grade_from(opinion, formatted=well_formatted(item.response), format_weight=self._options.format_weight)
            for item, opinion in zip(items, opinions, strict=True)
        ]

    def close(self) -> None:
        self._pool.close()
