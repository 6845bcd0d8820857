"""Following: which prompts of a pool the next training batch should ask, from the rewards of the batches before it.

Per sample a Beta posterior of its success with the image. Counts fade with age, so that it follows a model that changes:
what was solved or never solved rests, and is asked again when its counts have faded. What a sample lacks of its own
comes from samples like it (one group: a source, a type, a wording), and those from the whole pool. A batch is a draw from
the posteriors (Thompson sampling, as MoPPS, arXiv 2507.04632, and VADE, arXiv 2511.18902, do on success alone): it takes the samples
whose group of responses would most probably differ, less those that are answered without the image as well.

All functions are pure: beliefs go in, beliefs or numbers come out, and what is drawn depends on the seed and the step alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rap_plugin.errors import RapError
from rap_plugin.evidence.table import Counts, Numbers
from rap_plugin.scorers.success import IMAGE_WEIGHT, STRENGTH, informative, shared_posteriors, worth_of

NEVER = -1
"""`seen` of a sample that no batch has asked."""


@dataclass(frozen=True)
class FollowOptions:
    """What following is told."""

    responses: int
    """Rollouts of a prompt in a batch, G."""
    half_life: float = 100.0
    """Steps after which a rollout counts half."""
    strength: float = STRENGTH
    """Rollouts that a group's rate counts for in a sample's posterior, and the pool's in a group's."""
    explore: float = 0.1
    """Share of a batch that goes to those that were not asked for longest."""
    image_weight: float = IMAGE_WEIGHT
    """How much of a sample's worth is lost where it is always right without its image; 0: success alone."""
    seed: int = 0
    renew: float = 0.0
    """Rollouts without the image that a batch adds, as a share of its own; 0: the evidence stays as it was brought."""

    def __post_init__(self) -> None:
        for name, fits, said in (
            ("half_life", self.half_life > 0, "a number of steps above 0"),
            ("strength", self.strength > 0, "a number of rollouts above 0"),
            ("explore", 0 <= self.explore <= 1, "a share from 0 to 1"),
            ("image_weight", 0 <= self.image_weight <= 1, "a share from 0 to 1"),
            ("renew", 0 <= self.renew < float("inf"), "a share of a batch's own rollouts, or 0 for none"),
        ):
            if not fits:
                raise RapError(f"following with {name}={getattr(self, name)}: give {said}")


@dataclass(frozen=True)
class Beliefs:
    """What is known of N samples at one step; rollouts are worth what they were at `step`."""

    group: Counts
    """(N,) number of the group that a sample shares strength with."""
    right: Numbers
    """(N,) right rollouts with the image, faded."""
    asked: Numbers
    """(N,) all of them, faded."""
    blind_right: Numbers
    """(N,) right rollouts without the image; 0 where there is no evidence of it. They fade where they are renewed."""
    blind_asked: Numbers
    seen: Counts
    """(N,) the last step that asked a sample; NEVER before the first."""
    step: int = 0

    def __len__(self) -> int:
        return len(self.group)


def begin(groups: Sequence[int]) -> Beliefs:
    """Beliefs from nothing, for samples of these groups."""
    n = len(groups)
    none = np.zeros(n)
    return Beliefs(np.asarray(groups, dtype=np.int64), none, none, none, none, np.full(n, NEVER, dtype=np.int64))


def group_numbers(labels: Sequence[object]) -> list[int]:
    """A number per different label, in the order of their first appearance."""
    numbers: dict[object, int] = {}
    return [numbers.setdefault(label, len(numbers)) for label in labels]


def wording_of(question: str) -> str:
    """A question without its digits: samples of one template share it."""
    return " ".join("".join(" " if letter.isdigit() else letter for letter in question.lower()).split())


def with_evidence(
    beliefs: Beliefs, rows: Sequence[int], image: tuple[Numbers, Numbers], blind: tuple[Numbers, Numbers]
) -> Beliefs:
    """Beliefs with (right, graded) rollouts of a selection's evidence for these samples, in each arm."""
    at = np.asarray(rows, dtype=np.int64)
    columns = {}
    for name, values in zip(("right", "asked", "blind_right", "blind_asked"), (*image, *blind), strict=True):
        changed = getattr(beliefs, name).copy()
        changed[at] = values
        columns[name] = changed
    return replace(beliefs, **columns)


def observe(
    beliefs: Beliefs, options: FollowOptions, rows: Sequence[int], right: Sequence[float], asked: Sequence[float]
) -> Beliefs:
    """Beliefs one step later: all counts have faded, and a batch asked `rows`, each so often and right so often.

    A row may be there more than once.
    """
    fade = 0.5 ** (1.0 / options.half_life)
    at = np.asarray(rows, dtype=np.int64)
    new_right, new_asked, seen = beliefs.right * fade, beliefs.asked * fade, beliefs.seen.copy()
    np.add.at(new_right, at, np.asarray(right, dtype=float))
    np.add.at(new_asked, at, np.asarray(asked, dtype=float))
    seen[at] = beliefs.step + 1
    return replace(beliefs, right=new_right, asked=new_asked, seen=seen, step=beliefs.step + 1)


def observe_blind(
    beliefs: Beliefs, options: FollowOptions, rows: Sequence[int], right: Sequence[float], asked: Sequence[float]
) -> Beliefs:
    """The same for an instalment without the image: older counts of that arm have faded by one step. `step` stays."""
    fade = 0.5 ** (1.0 / options.half_life)
    at = np.asarray(rows, dtype=np.int64)
    new_right, new_asked = beliefs.blind_right * fade, beliefs.blind_asked * fade
    np.add.at(new_right, at, np.asarray(right, dtype=float))
    np.add.at(new_asked, at, np.asarray(asked, dtype=float))
    return replace(beliefs, blind_right=new_right, blind_asked=new_asked)


def posteriors(beliefs: Beliefs, options: FollowOptions) -> tuple[Numbers, Numbers]:
    """(N,) alpha and beta of the success with the image."""
    return shared_posteriors(beliefs.group, beliefs.right, beliefs.asked, options.strength)


def blind_posteriors(beliefs: Beliefs, options: FollowOptions) -> tuple[Numbers, Numbers]:
    """(N,) the same without the image."""
    return shared_posteriors(beliefs.group, beliefs.blind_right, beliefs.blind_asked, options.strength)


def utilities(beliefs: Beliefs, options: FollowOptions, random: np.random.Generator | None = None) -> Numbers:
    """(N,) what asking each sample is worth: in expectation, or under one draw of all posteriors."""
    alpha, beta = posteriors(beliefs, options)
    blind_alpha, blind_beta = blind_posteriors(beliefs, options)
    weight = options.image_weight if beliefs.blind_asked.any() else 0.0
    if random is None:
        needs = 1 - weight * blind_alpha / (blind_alpha + blind_beta)
        return informative(alpha, beta, options.responses) * needs
    success, blind = random.beta(alpha, beta), random.beta(blind_alpha, blind_beta)
    return worth_of(success, blind, options.responses, weight)


def choose(beliefs: Beliefs, options: FollowOptions, size: int, step: int) -> NDArray[np.int64]:
    """The rows of a batch: `size` different ones (all, then again, where the pool is smaller), in a random order.

    A share `explore` goes to those that were not asked for longest, the others to the highest utilities of one draw.
    """
    random = np.random.Generator(np.random.Philox(key=[options.seed, step]))
    n = len(beliefs)
    drawn = utilities(beliefs, options, random)
    lots = random.random(n)
    looks = min(size, int(options.explore * size + random.random()))
    oldest = np.lexsort((lots, beliefs.seen))[: min(looks, n)]
    drawn[oldest] = np.inf
    best = np.lexsort((lots, -drawn))
    rows = np.resize(best, size) if size > n else best[:size]
    return rows[np.argsort(random.random(size), kind="stable")]


def instalment(options: FollowOptions, size: int, step: int, multiple: int = 1) -> int:
    """Rollouts without the image that the batch of a step adds: after any step all of them are what the budget states, rounded
    down to `multiple` (of processes that sample together).
    """

    def until(steps: int) -> int:
        return int(options.renew * size * options.responses * steps / multiple + 1e-9) * multiple

    return until(step + 1) - until(step)


def renewals(beliefs: Beliefs, options: FollowOptions, rows: Sequence[int], rollouts: int) -> list[int]:
    """Which rows of a batch are asked without their image, once for every time that they are named.

    First those of which that says most: by the deviation of the blind success's posterior, times the chance that
    their groups teach anything.
    """
    alpha, beta = blind_posteriors(beliefs, options)
    total = alpha + beta
    deviation = np.sqrt(alpha * beta / (total**2 * (total + 1)))
    worth = informative(*posteriors(beliefs, options), options.responses) * deviation
    at = np.unique(np.asarray(rows, dtype=np.int64))
    best = at[np.lexsort((at, -worth[at]))]
    return np.resize(best, rollouts).tolist() if len(best) else []


def step_metrics(
    before: Beliefs, options: FollowOptions, rows: Sequence[int], right: Sequence[float], asked: Sequence[float]
) -> dict[str, float]:
    """What is logged of a step, `before` being the beliefs that it began with."""
    at, good, all_asked = np.asarray(rows, dtype=np.int64), np.asarray(right, float), np.asarray(asked, float)
    differ = (good > 0) & (good < all_asked)
    expected = informative(*posteriors(before, options), options.responses)
    age = before.step - before.seen[at]
    known = before.seen[at] != NEVER
    return {
        "rap/follow/informative": float(differ.mean()) if len(at) else 0.0,
        "rap/follow/effective_pool": float(expected.sum()),
        "rap/follow/returned": float((known & (age > options.half_life)).sum()),
        "rap/follow/new": float((~known).sum()),
        "rap/follow/seen": float((before.seen != NEVER).sum()),
        "rap/follow/rollouts": float(all_asked.sum()),
    }
