"""Following: which prompts of a pool the next training batch should ask, from the rewards of the batches before it.

Per sample a Beta posterior of its success with the image. Counts fade with age, so that it follows a model that changes:
what was solved or never solved rests, and is asked again when its counts have faded. What a sample lacks of its own
comes from samples like it (one group: a source, a type, a wording), and those from the whole pool. A batch is a draw from
these posteriors (Thompson sampling, as MoPPS, arXiv 2507.04632, and VADE, arXiv 2511.18902, do): it takes the samples whose group of
responses would most probably differ, the harder ones first where `headroom` says so, less those that are right without the image as
often and, where that is asked for, those whose responses are attention-biased.

All functions are pure: beliefs go in, beliefs or numbers come out, and what is drawn depends on the seed and the step alone.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rap_plugin.errors import RapError
from rap_plugin.evidence.table import Counts, Numbers
from rap_plugin.scorers.success import IMAGE_WEIGHT, STRENGTH, informative, shared_posteriors, worth_of

TINY, HUGE = math.ulp(0.0), sys.float_info.max
"""The least number above 0, and the largest that is finite."""

SEEDS = 2**63

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
    """How much of a sample's worth is lost where it is right as often without its image; 0: success alone."""
    headroom: float = 0.0
    """Exponent of 1 - p in a sample's worth, p its success: how much more it is asked where more is left to learn."""
    seed: int = 0
    renew: float = 0.0
    """Rollouts without the image that a batch adds, as a share of its own; 0: the evidence stays as it was brought."""
    renew_attention: float = 0.0
    """Share of a batch's own responses whose attention is measured; 0: the evidence stays as it was brought."""
    attention_weight: float = 0.0
    """How much of a sample's worth is lost where all of its responses are attention-biased; 0: psi has no part in it."""

    def __post_init__(self) -> None:
        share = "a share from 0 to 1"
        for name, low, high, said in (
            ("half_life", TINY, math.inf, "a number of steps above 0"),
            ("strength", TINY, HUGE, "a number of rollouts above 0"),
            ("explore", 0, 1, share),
            ("image_weight", 0, 1, share),
            ("headroom", 0, HUGE, "an exponent from 0"),
            ("renew", 0, HUGE, "a share of a batch's own rollouts, or 0 for none"),
            ("renew_attention", 0, 1, share),
            ("attention_weight", 0, 1, share),
        ):
            value: Any = getattr(self, name)
            if not (isinstance(value, Real) and low <= float(value) <= high):
                raise RapError(f"following with {name}={value!r}: give {said}")
        if not (isinstance(self.seed, Integral) and -SEEDS <= self.seed < SEEDS):
            raise RapError(f"following with seed={self.seed!r}: give a whole number of at most 63 bits")


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
    biased: Numbers
    """(N,) responses with the image whose psi exceeds lambda_a; 0 where nothing was measured. They fade where they are renewed."""
    measured: Numbers
    """(N,) all responses whose psi was measured."""
    seen: Counts
    """(N,) the last step that asked a sample; NEVER before the first."""
    step: int = 0

    def __len__(self) -> int:
        return len(self.group)


def begin(groups: Sequence[int]) -> Beliefs:
    """Beliefs from nothing, for samples of these groups."""
    n = len(groups)
    none = np.zeros(n)
    seen = np.full(n, NEVER, dtype=np.int64)
    return Beliefs(np.asarray(groups, dtype=np.int64), none, none, none, none, none, none, seen)


def group_numbers(labels: Sequence[object]) -> list[int]:
    """A number per different label, in the order of their first appearance. Raises RapError for what is no label."""
    numbers: dict[object, int] = {}
    return [numbers.setdefault(_comparable(label), len(numbers)) for label in labels]


def _comparable(label: Any) -> object:
    """A label that is equal where it says the same: arrays and tensors as plain values, lists and mappings as texts, NaN as None."""
    if hasattr(label, "tolist"):
        label = label.tolist()
    if isinstance(label, float) and math.isnan(label):
        return None
    try:
        plain: object = json.dumps(label, sort_keys=True) if isinstance(label, (list, dict)) else label
        hash(plain)
    except TypeError:
        raise RapError(f"groups: a {type(label).__name__} is no label; give texts or numbers") from None
    return plain


NUMBERS = re.compile(r"\d+")
NAMES = re.compile(r"\d+|\b[A-Z]{1,4}\b")
"""What one template's questions differ in: numbers, and names of points, lines or options."""


def wording_of(question: str) -> str:
    """A question without its numbers and short names in capitals: samples of one template share it.

    Where all is in capitals they name nothing, and numbers alone are taken out.
    """
    named = any(letter.isalpha() and not letter.isupper() for letter in question)
    return " ".join((NAMES if named else NUMBERS).sub(" ", question).lower().split())


IMAGE, BLIND, ATTENTION = ("right", "asked"), ("blind_right", "blind_asked"), ("biased", "measured")
"""What is counted: those that count, and all of them."""


def with_evidence(
    beliefs: Beliefs,
    rows: Sequence[int],
    image: tuple[Numbers, Numbers],
    blind: tuple[Numbers, Numbers],
    attention: tuple[Numbers, Numbers] | None = None,
) -> Beliefs:
    """Beliefs with (right, graded) rollouts of a selection's evidence for these samples, in each arm; and (biased, measured) ones."""
    at = np.asarray(rows, dtype=np.int64)
    given = {**dict(zip(IMAGE, image, strict=True)), **dict(zip(BLIND, blind, strict=True))}
    if attention is not None:
        given |= dict(zip(ATTENTION, attention, strict=True))
    columns = {}
    for name, values in given.items():
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
    seen = beliefs.seen.copy()
    seen[np.asarray(rows, dtype=np.int64)] = beliefs.step + 1
    counts = _counted(beliefs, options, IMAGE, rows, (right, asked))
    return replace(beliefs, **counts, seen=seen, step=beliefs.step + 1)


def observe_blind(
    beliefs: Beliefs, options: FollowOptions, rows: Sequence[int], right: Sequence[float], asked: Sequence[float]
) -> Beliefs:
    """The same for an instalment without the image: older counts of that arm have faded by one step. `step` stays."""
    return replace(beliefs, **_counted(beliefs, options, BLIND, rows, (right, asked)))


def observe_attention(
    beliefs: Beliefs, options: FollowOptions, rows: Sequence[int], biased: Sequence[float], measured: Sequence[float]
) -> Beliefs:
    """The same for an instalment of measured responses: so many of a row, so many of them attention-biased."""
    return replace(beliefs, **_counted(beliefs, options, ATTENTION, rows, (biased, measured)))


def _counted(
    beliefs: Beliefs,
    options: FollowOptions,
    names: tuple[str, str],
    rows: Sequence[int],
    counts: tuple[Sequence[float], Sequence[float]],
) -> dict[str, Any]:
    """Two columns one step later: faded, and with the counts of these rows."""
    fade = 0.5 ** (1.0 / options.half_life)
    at = np.asarray(rows, dtype=np.int64)
    columns = {}
    for name, added in zip(names, counts, strict=True):
        columns[name] = getattr(beliefs, name) * fade
        np.add.at(columns[name], at, np.asarray(added, dtype=float))
    return columns


def posteriors(beliefs: Beliefs, options: FollowOptions) -> tuple[Numbers, Numbers]:
    """(N,) alpha and beta of the success with the image."""
    return shared_posteriors(beliefs.group, beliefs.right, beliefs.asked, options.strength)


def blind_posteriors(beliefs: Beliefs, options: FollowOptions) -> tuple[Numbers, Numbers]:
    """(N,) the same without the image."""
    return shared_posteriors(beliefs.group, beliefs.blind_right, beliefs.blind_asked, options.strength)


def attention_posteriors(beliefs: Beliefs, options: FollowOptions) -> tuple[Numbers, Numbers]:
    """(N,) the same of a response being attention-biased."""
    return shared_posteriors(beliefs.group, beliefs.biased, beliefs.measured, options.strength)


def utilities(beliefs: Beliefs, options: FollowOptions, random: np.random.Generator) -> Numbers:
    """(N,) what asking each sample is worth under one draw of its success with the image.

    Blind arm and attention enter by their posteriors' means: instalments look where little is known of them, and the best of many
    lucky draws would be what is known to need no image (docs/following.md has what either asks of the demo pool).
    """
    success = random.beta(*posteriors(beliefs, options))
    weight = options.image_weight if beliefs.blind_asked.any() else 0.0
    worth = worth_of(success, _mean(blind_posteriors(beliefs, options)), options.responses, weight)
    worth = worth * (1 - success) ** options.headroom
    if options.attention_weight and beliefs.measured.any():
        worth = worth * (1 - options.attention_weight * _mean(attention_posteriors(beliefs, options)))
    return worth


def _mean(posterior: tuple[Numbers, Numbers]) -> Numbers:
    alpha, beta = posterior
    found: Numbers = alpha / (alpha + beta)
    return found


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
    """Rollouts without the image that the batch of a step adds, a `multiple` (of processes that sample together)."""
    return _instalment(options.renew * size * options.responses, step, multiple)


def _instalment(of_step: float, step: int, multiple: int = 1) -> int:
    """What a step does of a budget: after any step all of them have done what it states, rounded down to `multiple`."""

    def until(steps: int) -> int:
        return int(of_step * steps / multiple + 1e-9) * multiple

    return until(step + 1) - until(step)


def renewals(beliefs: Beliefs, options: FollowOptions, rows: Sequence[int], rollouts: int) -> list[int]:
    """Which rows of a batch are asked without their image, once for every time that they are named.

    First those of which that says most, see `_least_known`.
    """
    best = _least_known(beliefs, options, rows, blind_posteriors)
    return np.resize(best, rollouts).tolist() if len(best) else []


def measurements(beliefs: Beliefs, options: FollowOptions, rows: Sequence[int], step: int) -> list[int]:
    """Rows of the batch of a step whose attention is measured, each named as often as responses of it are.

    The batch gives every row in `rows` G responses; none is measured twice.
    """
    wanted = _instalment(options.renew_attention * len(rows) * options.responses, step)
    best = _least_known(beliefs, options, rows, attention_posteriors).tolist()
    there = {row: count * options.responses for row, count in Counter(rows).items()}
    rounds = range(max(there.values(), default=0))
    return [row for round_ in rounds for row in best if round_ < there[row]][:wanted]


def _least_known(
    beliefs: Beliefs,
    options: FollowOptions,
    rows: Sequence[int],
    arm: Callable[[Beliefs, FollowOptions], tuple[Numbers, Numbers]],
) -> Counts:
    """The different ones of `rows`, first those of which a look says most: by the deviation of the arm's posterior, times
    the chance that their groups teach anything.
    """
    alpha, beta = arm(beliefs, options)
    total = alpha + beta
    deviation = np.sqrt(alpha * beta / (total**2 * (total + 1)))
    worth = informative(*posteriors(beliefs, options), options.responses) * deviation
    at = np.unique(np.asarray(rows, dtype=np.int64))
    best: Counts = at[np.lexsort((at, -worth[at]))]
    return best


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
