"""The gap, measured: accuracy(text) - accuracy(image) over the same problems, with what stands beside it.

Per problem: p_t and p_i, the shares of right responses in either condition (over renderings: their mean). Then
gap = mean of p_t - p_i, its interval a bootstrap over problems, its p that of a sign-flip test (under no gap the two conditions of a
problem could be swapped). Responses of the two conditions are drawn apart, so agreement is that of a pair drawn at random:
both right with probability p_t p_i, the text alone p_t (1 - p_i), and so on; these four add up to 1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rap_plugin.evaluation.stats import SEED, bootstrap_mean
from rap_plugin.modality_gap.records import GapRecord

FLIPS = 10_000


@dataclass(frozen=True)
class Agreement:
    """How the two conditions agree, shares of pairs of responses to the same problem."""

    both: float
    text_only: float
    image_only: float
    neither: float
    same_answer: float | None
    """Pairs that say the same, right or wrong; None where answers are not known."""


@dataclass(frozen=True)
class Gap:
    """What one group of problems says. Accuracies are shares of 1."""

    problems: int
    responses: int
    """Per problem and condition, the largest number."""
    text: float
    image: float
    text_passed: float
    """pass@n: problems with at least one right response."""
    image_passed: float
    gap: float
    low: float
    high: float
    """95 % bootstrap interval of the gap."""
    p: float
    """Two-sided, of the sign-flip test."""
    agreement: Agreement
    text_tokens: float | None
    image_tokens: float | None
    renderings: dict[str, float] = field(default_factory=dict)
    """Accuracy in the image condition by rendering."""
    unpaired: int = 0
    """Problems with one condition only: left out."""

    @property
    def spread(self) -> float | None:
        """Between the best and the worst rendering; None where there is one."""
        return max(self.renderings.values()) - min(self.renderings.values()) if len(self.renderings) > 1 else None


@dataclass(frozen=True)
class _BothSides:
    """One problem in both conditions."""

    text: list[GapRecord]
    image: list[GapRecord]


def measure_gap(records: Iterable[GapRecord]) -> Gap | None:
    """The gap over the problems that have both conditions; None where no problem has."""
    held: dict[tuple[str, int], dict[str, list[GapRecord]]] = defaultdict(lambda: {"text": [], "image": []})
    for record in records:
        held[record.problem, record.seed][record.condition].append(record)
    by_problem: dict[str, list[_BothSides]] = defaultdict(list)
    unpaired: set[str] = set()
    for (problem, _), sides in held.items():
        if sides["text"] and sides["image"]:
            by_problem[problem].append(_BothSides(sides["text"], sides["image"]))
        else:
            unpaired.add(problem)
    if not by_problem:
        return None
    # Seeds of a recipe answer the same problems: a problem stays one unit, whatever the number of seeds.
    pairs = list(by_problem.values())
    text = np.array([_mean_of(group, lambda pair: _accuracy(pair.text)) for group in pairs])
    image = np.array([_mean_of(group, lambda pair: _accuracy(pair.image)) for group in pairs])
    flat = [pair for group in pairs for pair in group]
    low, high = bootstrap_mean((text - image).tolist())
    return Gap(
        problems=len(pairs),
        responses=max(len(record.right) for pair in flat for record in (*pair.text, *pair.image)),
        text=float(text.mean()),
        image=float(image.mean()),
        text_passed=_mean(_passed(pair.text) for pair in flat),
        image_passed=_mean(_passed(pair.image) for pair in flat),
        gap=float((text - image).mean()),
        low=low,
        high=high,
        p=sign_flip(text - image),
        agreement=_agreement(flat),
        text_tokens=_tokens(pair.text for pair in flat),
        image_tokens=_tokens(pair.image for pair in flat),
        renderings=_renderings(flat),
        unpaired=len(unpaired - set(by_problem)),
    )


def by_kind(records: Sequence[GapRecord]) -> dict[str, Gap]:
    """The gap per problem type, in alphabetical order."""
    kinds: dict[str, list[GapRecord]] = defaultdict(list)
    for record in records:
        kinds[record.kind].append(record)
    found = {kind: measure_gap(kinds[kind]) for kind in sorted(kinds)}
    return {kind: gap for kind, gap in found.items() if gap is not None}


def sign_flip(differences: NDArray[np.float64], flips: int = FLIPS) -> float:
    """Two-sided p of the mean of paired differences: the share of random signs that give a mean at least as far from 0."""
    values = np.asarray(differences, float)
    values = values[values != 0]
    if not len(values):
        return 1.0
    random, reached = np.random.default_rng(SEED), 0
    seen = abs(values.sum()) * (1 - 1e-12)
    rows = max(1, 2_000_000 // len(values))
    for start in range(0, flips, rows):
        signs = random.integers(0, 2, (min(rows, flips - start), len(values))) * 2 - 1
        reached += int((np.abs(signs @ values) >= seen).sum())
    return (reached + 1) / (flips + 1)


def _accuracy(side: Sequence[GapRecord]) -> float:
    return _mean(record.accuracy for record in side)


def _passed(side: Sequence[GapRecord]) -> float:
    return _mean(float(any(value > 0 for value in record.right)) for record in side)


def _mean(values: Iterable[float]) -> float:
    held = list(values)
    return sum(held) / len(held)


def _mean_of(group: Sequence[_BothSides], of: Callable[[_BothSides], float]) -> float:
    return _mean(of(pair) for pair in group)


def _tokens(sides: Iterable[Sequence[GapRecord]]) -> float | None:
    counts = [count for side in sides for record in side for count in record.tokens]
    return sum(counts) / len(counts) if counts else None


def _renderings(pairs: Sequence[_BothSides]) -> dict[str, float]:
    held: dict[str, list[float]] = defaultdict(list)
    for pair in pairs:
        for record in pair.image:
            held[record.rendering].append(record.accuracy)
    return {name: _mean(held[name]) for name in sorted(held)}


def _agreement(pairs: Sequence[_BothSides]) -> Agreement:
    shares = np.array([(_accuracy(pair.text), _accuracy(pair.image)) for pair in pairs])
    text, image = shares[:, 0], shares[:, 1]
    same = [value for pair in pairs if (value := _same_answers(pair)) is not None]
    return Agreement(
        both=float((text * image).mean()),
        text_only=float((text * (1 - image)).mean()),
        image_only=float(((1 - text) * image).mean()),
        neither=float(((1 - text) * (1 - image)).mean()),
        same_answer=_mean(same) if same else None,
    )


def _same_answers(pair: _BothSides) -> float | None:
    """The share of pairs (text response, image response) with the same answer; two right ones say the same."""
    sides = [
        [_said(record, i) for record in side for i in range(len(record.answers))] for side in (pair.text, pair.image)
    ]
    total = len(sides[0]) * len(sides[1])
    if not total:
        return None
    return sum(one is not None and one == other for one in sides[0] for other in sides[1]) / total


def _said(record: GapRecord, at: int) -> str | None:
    if at < len(record.right) and record.right[at] == 1:
        return "\0right"
    answer = record.answers[at]
    return "".join(answer.split()).casefold() or None if answer is not None else None
