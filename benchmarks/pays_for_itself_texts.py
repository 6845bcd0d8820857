"""The proof's third pool: the digit pool, half of it questions whose words hold the answer and which stay unsolved for long.

In the other two pools what is answered from its text is solved early, and whoever follows success alone leaves it. Here a thousand of the
problems that do not need their image are asked in forms that the base has not learned: five digits instead of three, sums with a misleading note
before them, a digit by its place, the number after a sum. Their groups differ for hundreds of steps, and what they teach is of no use where the
image is needed. Validation, test and harder shift are those of the digit pool.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from digit_problems import Problem

SHARE = 0.5
"""Of the pool that is asked from words in a new form."""

FORMS: dict[str, Callable[[Sequence[int]], tuple[str, int]]] = {
    "open_note_sum": lambda d: (
        f"A note says {d[2]}. The digits are {d[0]} and {d[1]}. What is the sum?",
        d[0] + d[1],
    ),
    "open_largest": lambda d: (
        f"The digits are {d[0]}, {d[1]}, {d[2]}, {d[3]} and {d[4]}. Which is the largest?",
        max(d),
    ),
    "open_left": lambda d: (f"The digits are {d[0]} and {d[1]}. What is the left digit?", d[0]),
    "open_right": lambda d: (f"The digits are {d[0]} and {d[1]}. What is the right digit?", d[1]),
    "open_after": lambda d: (
        f"The digits are {d[0]} and {d[1]}. Which number comes after the sum?",
        d[0] + d[1] + 1,
    ),
}
"""Question and answer from five digits. The base is right in 40, 68, 15, 24 and 13 % of its responses to these (60 problems of each kind, 4 responses)."""


def with_open_texts(pool: Sequence[Problem], share: float = SHARE) -> list[Problem]:
    """The pool with this share of it asked anew, from among the problems that do not need their image; their pictures stay."""
    rng = random.Random("texts")
    idle = [at for at, problem in enumerate(pool) if not problem.needs_image]
    asked = sorted(rng.sample(idle, round(share * len(pool))))
    out = list(pool)
    for number, at in enumerate(asked):
        kind = tuple(FORMS)[number % len(FORMS)]
        question, answer = FORMS[kind]([rng.randint(0, 9) for _ in range(5)])
        out[at] = replace(
            pool[at], question=question, answer=str(answer), kind=kind, role="given_away", needs_image=False, claim=None
        )
    return out
