"""The reward of R-GRPO (arXiv 2505.16192): is the answer right, is it closed, did looking help to it, is there reasoning?

Paper and released code give other numbers to the same terms: both are presets. What a row did comes from its trace, so a reward can
be computed again without a model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rap_plugin.errors import RapError
from rap_plugin.grading import Grader
from rap_plugin.grading.base import GradeItem
from rap_plugin.vlm_r3.coordinates import Region
from rap_plugin.vlm_r3.evidence_reward import evidence_reward
from rap_plugin.vlm_r3.golds import alternatives
from rap_plugin.vlm_r3.trace import Look, Trace

_BOX = re.compile(r"\\(?:boxed|fbox)\b")

Judge = Callable[[str, str, str], bool | None]
"""(question, gold answer, answer) -> whether it is right; None where the judge has not said."""


@dataclass(frozen=True, slots=True)
class RewardTerms:
    """What the terms of a reward are worth; the accuracy is worth 1."""

    format: float = 0.5
    """The whole turn ends with <answer>..</answer>."""
    region: float = 0.5
    """Of each different region that was shown, in a right answer without a broken box."""
    region_cap: float = 0.5
    length: float = 0.01
    """Of each character of the shortest reasoning segment."""
    length_cap: float = 0.10
    evidence: float = 0.0
    """Of `evidence_reward`: how well the regions meet known boxes; the published systems have no such term."""


PRESETS: Final[dict[str, RewardTerms]] = {
    "released": RewardTerms(),
    "paper": RewardTerms(format=1.0, length=0.001, length_cap=0.25),
}


def reward_terms(preset: str, evidence: float = 0.0) -> RewardTerms:
    """The terms of a preset. Raises RapError for an unknown one."""
    if preset not in PRESETS:
        raise RapError(f"reward preset {preset!r}; there are {', '.join(PRESETS)}")
    known = PRESETS[preset]
    return RewardTerms(known.format, known.region, known.region_cap, known.length, known.length_cap, evidence)


@dataclass(frozen=True, slots=True)
class RegionReward:
    """The terms of one row, each with its weight in it."""

    accuracy: float
    format: float
    region: float
    length: float
    evidence: float = 0.0

    @property
    def total(self) -> float:
        """Their sum."""
        return self.accuracy + self.format + self.region + self.length + self.evidence


def region_reward(trace: Trace, right: bool, terms: RewardTerms, boxes: Sequence[Region] = ()) -> RegionReward:
    """The reward of a row whose answer is `right` or not; `boxes` are the known evidence, in pixels of the first image."""
    regions = distinct_regions(trace.looks) if right and not any(broken(look) for look in trace.looks) else 0
    held = evidence_reward(right, trace, boxes=boxes) if terms.evidence else 0.0
    return RegionReward(
        accuracy=float(right),
        format=terms.format if well_closed(trace) else 0.0,
        region=min(terms.region_cap, terms.region * regions),
        length=min(terms.length_cap, terms.length * shortest_reasoning(trace)),
        evidence=terms.evidence * held,
    )


def well_closed(trace: Trace) -> bool:
    """Whether the turn ends with an <answer>..</answer> that holds something."""
    return re.search(r"<answer>(?!.*<answer>)\s*\S.*</answer>\s*\Z", trace.text, re.DOTALL) is not None


def broken(look: Look) -> bool:
    """Whether what was asked for was no box at all; one outside the image, or shown before, is one."""
    return look.region is None and bool(look.problem) and "outside" not in look.problem


def distinct_regions(looks: Sequence[Look]) -> int:
    """Different regions that were shown."""
    return len({(look.image, look.region) for look in looks if look.valid})


def shortest_reasoning(trace: Trace) -> int:
    """Characters of the shortest segment without its box and without the answer; 0 where there is no segment."""
    asked = {look.segment: look.asked for look in trace.looks}
    lengths = []
    for at, segment in enumerate(trace.segments):
        words = segment.split("<answer>")[0]
        box = words.rfind(asked[at][:40]) if asked.get(at) else -1
        lengths.append(len((words[:box] if box >= 0 else words).strip()))
    return min(lengths, default=0)


def final_answer(trace: Trace) -> str:
    """What a row says as its answer, for a reward: inside its last <answer>, which is closed or at the end of the turn.

    Empty where nothing is marked, and where the row ran out while it wrote: half an answer may be the gold by chance.
    """
    start = trace.text.rfind("<answer>")
    if start < 0 or (trace.ended != "end" and "</answer>" not in trace.text[start:]):
        return ""
    return trace.answer


def judged_right(
    grader: Grader, answers: Sequence[str], golds: Sequence[str], questions: Sequence[str], judge: Judge | None = None
) -> list[bool | None]:
    """Whether each answer is right: the same words, then the rules of the grader, then the judge where there is one.

    A gold may hold several, parted by "/"; each of them is right (`golds.alternatives`). None where nothing can be said: no gold, or
    one that the rules cannot grade against, or a response that they could not finish. An answer in several boxes is wrong.
    """
    verdicts: list[bool | None] = [None] * len(answers)
    items: list[GradeItem] = []
    places: list[int] = []
    for at, (answer, gold, question) in enumerate(zip(answers, golds, questions, strict=True)):
        accepted = alternatives(gold)
        if not accepted:
            continue
        verdicts[at] = bool(answer) and _plain(answer) in {_plain(one) for one in (gold, *accepted)}
        if not answer or verdicts[at] or _boxes_apart(answer):
            continue
        for one in accepted:
            if grader.check_gold(one, question) is None:
                # In tags: a brace too many would end a box, and start one of the model's choice.
                items.append(GradeItem(f"<answer>{answer}</answer>", one, question))
                places.append(at)
            else:
                verdicts[at] = None
    unknown = {at for at, verdict in enumerate(verdicts) if verdict is None}
    for at, grade in zip(places, grader.grade(items), strict=True):
        verdicts[at] = bool(verdicts[at]) or grade.verdict == "right"
        if grade.verdict not in ("right", "wrong"):
            unknown.add(at)
    for at in unknown:
        verdicts[at] = verdicts[at] or None
    if judge is not None:
        for at, (answer, gold, question) in enumerate(zip(answers, golds, questions, strict=True)):
            if not verdicts[at] and answer and alternatives(gold):
                said = judge(question, gold, answer)
                verdicts[at] = verdicts[at] if said is None else said
    return verdicts


def _boxes_apart(answer: str) -> bool:
    """Whether an answer has several boxes, or one among braces that do not match: whichever is read, the other was said too."""
    boxes = len(_BOX.findall(answer))
    if boxes != 1:
        return boxes > 1
    depth = 0
    for sign in answer:
        depth += (sign == "{") - (sign == "}")
        if depth < 0:
            return True
    return depth > 0


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().strip(".").casefold()
