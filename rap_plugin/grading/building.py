"""A grader from one function: the function says what it thinks of one response, the rest is the same for all.

    @grader("text", version=2, moved_by=("alternatives",))
    def text(item: GradeItem, options: GradingOptions) -> Opinion | Ask: ...

`text` is then a `GraderFactory`, as `rap_register_graders` takes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rap_plugin.errors import one_line
from rap_plugin.grading.base import MAX_EXTRACTED, Grade, GradeItem, GraderFactory, GradingOptions, Verdict
from rap_plugin.grading.reading.answers import well_formatted
from rap_plugin.grading.workers.processes import Reply, WorkerPool

CheckGold = Callable[[str, str], str | None]
"""(gold, question) -> None when the gold answer can be graded against, else why not."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a grader thinks of one response. `reward` and `well_formatted` are set by graders that know better than the
    common rules: (1 - w) * accuracy + w * format, and `<think>..</think> .. \\boxed{..}`."""

    verdict: Verdict
    extracted: str
    reason: str = ""
    reward: float | None = None
    well_formatted: bool | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to a worker process, and what its reply means."""

    request: Mapping[str, Any]
    extracted: str
    opinion_of: Callable[[Reply], Opinion]
    """of a reply that is neither a timeout nor a failure"""
    late: str = "no verdict"
    """what is missing after the deadline"""
    pure: bool = False
    """equal requests have equal replies, so that each is sent once"""


Compare = Callable[[GradeItem, GradingOptions], Opinion | Ask]


def gold_is_empty(gold: str, question: str = "") -> str | None:
    """The check of golds that every built-in grader shares."""
    return None if gold.strip() else "the gold answer is empty"


def any_gold(gold: str, question: str = "") -> str | None:
    """The check of graders that know no golds."""
    return None


def grader(
    name: str,
    version: int,
    *,
    moved_by: Sequence[str] = (),
    facts: Callable[[], Mapping[str, object]] = dict,
    check_gold: CheckGold = gold_is_empty,
    worker: Mapping[str, Any] | None = None,
) -> Callable[[Compare], GraderFactory]:
    """Make a grader's factory of a function that compares one response with its gold answer.

    `version` is raised whenever a verdict can change: stored responses are then graded again. `moved_by` names the
    options that can move a verdict; `facts` gives what else can (versions of libraries). `worker` is the configuration
    of the worker processes that answer an `Ask` (see workers/worker.py); None for a function that never asks.
    """

    def decorate(compare: Compare) -> GraderFactory:
        def factory(options: GradingOptions) -> FunctionGrader:
            moving = {option: getattr(options, option) for option in moved_by}
            identity = grader_id(name, version, **moving, **facts())
            return FunctionGrader(identity, compare, options, check_gold, worker, what=f"the {name} grader")

        factory.__name__ = factory.__qualname__ = name
        factory.__doc__ = compare.__doc__
        return factory

    return decorate


class FunctionGrader:
    """The `Grader` around a comparing function. Usable from any thread; see `base.Grader`."""

    def __init__(
        self,
        identity: str,
        compare: Compare,
        options: GradingOptions,
        check_gold: CheckGold,
        worker: Mapping[str, Any] | None,
        what: str,
    ) -> None:
        self.id = identity
        self._compare = compare
        self._options = options
        self._check_gold = check_gold
        self._pool = (
            WorkerPool(
                worker,
                workers=options.workers,
                timeout_s=options.timeout_s,
                memory_mb=options.memory_mb,
                what=what,
            )
            if worker is not None
            else None
        )

    def check_gold(self, gold: str, question: str = "") -> str | None:
        return self._check_gold(gold, question)

    def grade(self, items: Sequence[GradeItem]) -> list[Grade]:
        # Rollouts of one problem often say the same; on the demo pool 2,724 of 7,200 responses differ.
        known = {item: self._think(item) for item in dict.fromkeys(items)}
        thoughts = [known[item] for item in items]
        return [
            grade_from(item, opinion, self._options.format_weight)
            for item, opinion in zip(items, self._answered(thoughts), strict=True)
        ]

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()

    def _think(self, item: GradeItem) -> Opinion | Ask:
        try:
            return self._compare(item, self._options)
        except Exception as error:
            # A response that a rule stumbles over must not end a run of thousands.
            return Opinion("ungradable", "", f"error in a grading rule: {one_line(error, 200)}")

    def _answered(self, thoughts: Sequence[Opinion | Ask]) -> list[Opinion]:
        """Opinions, those of the workers put in."""
        keys: list[object] = [_key(number, thought) for number, thought in enumerate(thoughts)]
        requests = {key: t.request for key, t in zip(keys, thoughts, strict=True) if isinstance(t, Ask)}
        if requests and self._pool is None:
            raise TypeError("a grader that asks workers names them: @grader(.., worker={..})")
        answers = self._pool.map(list(requests.values())) if self._pool is not None else []
        replies = dict(zip(requests, answers, strict=True))
        return [
            thought if isinstance(thought, Opinion) else _opinion_of_reply(thought, replies[key])
            for key, thought in zip(keys, thoughts, strict=True)
        ]


def _key(number: int, thought: Opinion | Ask) -> object:
    if isinstance(thought, Ask) and thought.pure:
        return json.dumps(thought.request, sort_keys=True)
    return number


def _opinion_of_reply(ask: Ask, reply: Reply) -> Opinion:
    if "timeout" in reply:
        return Opinion("timeout", ask.extracted, f"{ask.late} within {reply['timeout']:g} s")
    if "failed" in reply:
        return Opinion("ungradable", ask.extracted, str(reply["failed"]))
    return ask.opinion_of(reply)


def reward_of(right: bool, well_formatted: bool, format_weight: float) -> float:
    """(1 - w) * accuracy + w * format, without arithmetic where the value is known: right and well
    formatted is exactly 1.0, because the `released` preset counts rewards that are exactly 1.
    """
    if right:
        return 1.0 if well_formatted or format_weight == 0 else 1.0 - format_weight
    return format_weight if well_formatted else 0.0


def grade_from(item: GradeItem, opinion: Opinion, format_weight: float) -> Grade:
    """A grade from an opinion; only right and wrong get a reward."""
    formatted = opinion.well_formatted if opinion.well_formatted is not None else well_formatted(item.response)
    reward = opinion.reward
    if opinion.verdict not in ("right", "wrong"):
        reward = None
    elif reward is None:
        reward = reward_of(opinion.verdict == "right", formatted, format_weight)
    return Grade(opinion.verdict, reward, formatted, opinion.extracted[:MAX_EXTRACTED], opinion.reason)


def grader_id(name: str, version: int, **facts: object) -> str:
    """`name-version:hash`, the hash over everything that can move a verdict, stable across processes."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True, default=str)
    return f"{name}-{version}:{hashlib.sha256(text.encode()).hexdigest()[:10]}"
