"""Rules that choose a batch while training goes on: free filters that others use, and following.

A rule is made for one run and called once a step with a sampler; whatever it samples is counted, also what it throws away.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from digit_rl import Group, Rule, Sampler, draw_batches

from rap_plugin.posterior.following import (
    Beliefs,
    FollowOptions,
    begin,
    choose,
    group_numbers,
    instalment,
    observe,
    observe_blind,
    renewals,
    with_evidence,
    wording_of,
)

RENEWED = 0.05
"""Responses without the image that `follow_renewed` adds, as a share of a batch's own."""

HEADROOM = 2.0
"""Exponent of 1 - p in `follow_headroom`."""

MOST_ROUNDS = 8
"""Batches that a filter samples for one step before it learns from what it has."""

Blind = Mapping[int, tuple[int, int]]
"""By row of the pool: right and graded rollouts without the image."""


def until_informative(n: int, prompts: int, rollouts: int, seed: int) -> Rule:
    """DAPO's dynamic sampling (arXiv 2503.14476): groups whose rewards are all the same are thrown away, and more are sampled."""
    batches = draw_batches(n, prompts, random.Random(f"training order {seed}"))

    def rule(step: int, sample: Sampler) -> list[Group]:
        kept: list[Group] = []
        for _ in range(MOST_ROUNDS):
            kept += [group for group in sample(next(batches), rollouts) if group.differs]
            if len(kept) >= prompts:
                break
        return kept[:prompts]

    return rule


def greso_like(n: int, prompts: int, rollouts: int, seed: int) -> Rule:
    """After GRESO (arXiv 2506.02177): a prompt whose last z groups were all the same is skipped with probability 1 - e^z,
    e adapted towards a quarter of uninformative groups in a batch; then as dynamic sampling."""
    lots = random.Random(f"training order {seed}")
    ones = draw_batches(n, 1, lots)
    same = [0] * n
    explore = 0.5

    def rule(step: int, sample: Sampler) -> list[Group]:
        nonlocal explore
        kept: list[Group] = []
        for _ in range(MOST_ROUNDS):
            rows: list[int] = []
            skipped = 0
            while len(rows) < prompts:
                (row,) = next(ones)
                # Where nearly all are skipped, as after many epochs, the batch is filled with what comes.
                if skipped >= 20 * n or lots.random() < explore ** same[row]:
                    rows.append(row)
                else:
                    skipped += 1
            groups = sample(rows, rollouts)
            for group in groups:
                same[group.at] = 0 if group.differs else same[group.at] + 1
            idle = sum(not group.differs for group in groups) / max(1, len(groups))
            explore = min(0.9, max(0.05, explore + (0.01 if idle < 0.25 else -0.01)))
            kept += [group for group in groups if group.differs]
            if len(kept) >= prompts:
                break
        return kept[:prompts]

    return rule


def speed_like(n: int, prompts: int, rollouts: int, seed: int) -> Rule:
    """After SPEED-RL (arXiv 2506.09016): two screening responses, and the others only where those differ."""
    batches = draw_batches(n, prompts, random.Random(f"training order {seed}"))

    def rule(step: int, sample: Sampler) -> list[Group]:
        passed: list[Group] = []
        for _ in range(MOST_ROUNDS):
            passed += [group for group in sample(next(batches), 2) if group.differs]
            if len(passed) >= prompts:
                break
        passed = passed[:prompts]
        if not passed:
            return []
        rest = sample([group.at for group in passed], rollouts - 2)
        return [
            Group(one.at, one.exercise, one.responses + two.responses, one.rewards + two.rewards)
            for one, two in zip(passed, rest, strict=True)
        ]

    return rule


def follow(beliefs: Beliefs, options: FollowOptions, prompts: int) -> Rule:
    """The package's own following."""

    def rule(step: int, sample: Sampler) -> list[Group]:
        nonlocal beliefs
        before = beliefs
        groups = sample(choose(before, options, prompts, step).tolist(), options.responses)
        rows, right = [group.at for group in groups], [sum(group.rewards) for group in groups]
        beliefs = observe(before, options, rows, right, [options.responses] * len(rows))
        if rollouts := instalment(options, prompts, step - 1):
            blind = sample(renewals(before, options, rows, rollouts), 1, blind=True)
            right = [group.rewards[0] for group in blind]
            beliefs = observe_blind(beliefs, options, [group.at for group in blind], right, [1] * len(blind))
        return groups

    return rule


def make_rule(
    name: str, problems: Sequence[Any], prompts: int, rollouts: int, seed: int, blind: Blind | None = None
) -> Rule:
    """The rule of that name for one run over these problems."""
    n = len(problems)
    free: dict[str, Callable[[int, int, int, int], Rule]] = {
        "dapo": until_informative,
        "greso": greso_like,
        "speed": speed_like,
    }
    if name in free:
        return free[name](n, prompts, rollouts, seed)
    if name == "mopps":  # Thompson sampling on success alone, every prompt for itself
        options = FollowOptions(rollouts, half_life=200, explore=0, image_weight=0, seed=seed)
        return follow(begin(range(n)), options, prompts)
    beliefs = begin(group_numbers([wording_of(problem.question) for problem in problems]))
    told: dict[str, dict[str, float]] = {
        "follow_success": {"image_weight": 0.0},
        "follow_headroom": {"image_weight": 0.0, "headroom": HEADROOM},
        "follow": {"image_weight": 0.5},
        "follow_renewed": {"image_weight": 1.0, "renew": RENEWED},
    }
    options = FollowOptions(rollouts, seed=seed, **told[name])
    if name == "follow" and blind:
        rows = sorted(blind)
        none = np.zeros(len(rows))
        counts = np.array([blind[row] for row in rows], dtype=float)
        beliefs = with_evidence(beliefs, rows, (none, none), (counts[:, 0], counts[:, 1]))
    return follow(beliefs, options, prompts)
