"""How often samples are right where similar ones share strength, and how often a group of their responses differs.

Following a training and the selector of that name compute on it.
"""

from __future__ import annotations

import numpy as np

from rap_plugin.evidence.table import Counts, Numbers

STRENGTH = 2.0
"""Rollouts that a group's rate counts for in a sample's posterior, and the pool's in a group's."""

TINY = float(np.finfo(float).tiny)

IMAGE_WEIGHT = 0.5
"""Share of its worth that a sample loses which is right without its image as often as with it."""


def shared_posteriors(group: Counts, right: Numbers, asked: Numbers, strength: float) -> tuple[Numbers, Numbers]:
    """(N,) alpha and beta of each sample's success, from (N,) numbers of its group, right rollouts and all of them."""
    pool = (right.sum() + strength / 2) / (asked.sum() + strength)
    in_group = np.bincount(group, right), np.bincount(group, asked)
    # A sample's own rollouts are no second witness for it.
    others = in_group[0][group] - right, in_group[1][group] - asked
    rate = (others[0] + strength * pool) / (others[1] + strength)
    alpha, beta = strength * rate + right, strength * (1 - rate) + asked - right
    # A rate of exactly 0 or 1, or what rounding takes from faded counts, is no Beta.
    return np.maximum(alpha, TINY), np.maximum(beta, TINY)


def informative(alpha: Numbers, beta: Numbers, responses: int) -> Numbers:
    """(N,) the probability that G responses are neither all right nor all wrong, over the posterior: 1 - E[p^G] - E[(1-p)^G]."""
    k = np.arange(responses)
    total = alpha + beta
    same = np.prod((alpha[:, None] + k) / (total[:, None] + k), axis=1)
    none = np.prod((beta[:, None] + k) / (total[:, None] + k), axis=1)
    found: Numbers = 1 - same - none
    return found


def worth_of(success: Numbers, blind: Numbers, responses: int, image_weight: float) -> Numbers:
    """(N,) the chance that G responses differ at this success p, less `image_weight` times the share of it that needs no image.

    That share is b / p, at most 1, with b the success without the image: 1 - D / p in terms of RAP's discrepancy D = p - b. It is 1 as
    well for what is guessed, half right in both arms, of which b alone would keep half. D / p is epidemiology's attributable fraction.
    """
    share = np.minimum(1.0, blind / np.maximum(success, TINY))
    found: Numbers = (1 - success**responses - (1 - success) ** responses) * (1 - image_weight * share)
    return found
