"""The proof's third pool: the digit pool, half of it questions whose words hold the answer and which stay unsolved for long.

In the digit pool what is answered from its text is solved early, and whoever follows success alone leaves it; on the drawings it teaches the
same as the rest. Here a thousand of the problems that do not need their image are asked in forms that the base has not learned: five digits instead of three, sums with a misleading note
before them, a digit by its place, the number after a sum. Their groups differ for hundreds of steps, and what they teach is of no use where the
image is needed. Validation, test and harder shift are those of the digit pool.

    python benchmarks/pays_for_itself_texts.py      # what the base answers to each form, with the picture and without
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
"""Question and answer from five digits."""


def with_open_texts(pool: Sequence[Problem]) -> list[Problem]:
    """The pool with half of it asked anew, from among the problems that do not need their image; their pictures stay."""
    rng = random.Random("texts")
    idle = [at for at, problem in enumerate(pool) if not problem.needs_image]
    asked = sorted(rng.sample(idle, round(SHARE * len(pool))))
    out = list(pool)
    for number, at in enumerate(asked):
        kind = tuple(FORMS)[number % len(FORMS)]
        question, answer = FORMS[kind]([rng.randint(0, 9) for _ in range(5)])
        out[at] = replace(
            pool[at], question=question, answer=str(answer), kind=kind, role="given_away", needs_image=False, claim=None
        )
    return out


def base_answers(count: int = 1000, responses: int = 4) -> list[str]:
    """Markdown lines: how often the base is right in each form, with the picture and without it, at temperature 1."""
    import digit_rl as rl
    from digit_problems import make_problems

    from rap_plugin.demo import MODEL_DIR

    model, processor = rl.load_policy(str(MODEL_DIR))
    made = make_problems(count, "train", 99, {"count": 0.25, "copy": 0.75})
    asked = [problem for problem in with_open_texts(made) if problem.kind in FORMS]
    seen = rl.exercises(asked, model, processor)
    blind = [rl.without_image(problem, model, processor) for problem in asked]
    arms = [rl.count_right(model, processor, exercises, 0, responses=responses) for exercises in (seen, blind)]
    lines = ["| form | problems | right, % | right without the picture, % |", "| --- | --- | --- | --- |"]
    for kind in FORMS:
        at = [number for number, problem in enumerate(asked) if problem.kind == kind]
        shares = [sum(arm[number] for number in at) / len(at) / responses for arm in arms]
        lines.append(f"| `{kind}` | {len(at)} | {100 * shares[0]:.0f} | {100 * shares[1]:.0f} |")
    return lines


if __name__ == "__main__":
    print("\n".join(base_answers()))
