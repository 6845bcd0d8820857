"""Questions over scikit-learn's real handwritten digits, each with a known role.

The 1,797 digits of `sklearn.datasets.load_digits` (the test part of UCI "Optical Recognition of Handwritten
Digits", Alpaydin and Kaynak, CC BY 4.0) are split by row: the rows before `FIRST_HELD_OUT` train the demo model, the
rest are only ever shown to it in held-out problems. The split is contiguous because neighbouring rows tend to
come from the same writer.

Every problem has an image, also those whose text alone is enough: that is what a selection has to find out.
"""

import random
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

FIRST_HELD_OUT = 1400
CANVAS = 48
CELL = 16
CELLS = 9
EMPTY = 10
ROLES = ("needs_image", "given_away", "trivial", "hard", "distracted")


@dataclass(frozen=True)
class Recipe:
    """One kind of question: the role that it plays in a pool and whether only the image holds the answer."""

    kind: str
    role: str
    needs_image: bool


RECIPES: dict[str, Recipe] = {
    recipe.kind: recipe
    for recipe in (
        Recipe("digit", "needs_image", True),
        Recipe("position", "needs_image", True),
        Recipe("largest", "needs_image", True),
        Recipe("count", "trivial", True),
        Recipe("copy", "trivial", False),
        Recipe("next", "trivial", False),
        Recipe("given_digit", "given_away", False),
        Recipe("given_largest", "given_away", False),
        Recipe("given_sum", "given_away", False),
        Recipe("sum", "hard", True),
        Recipe("note_digit", "distracted", True),
        Recipe("note_largest", "distracted", True),
    )
}

POOL_MIX: dict[str, float] = {
    "digit": 0.10,
    "position": 0.10,
    "largest": 0.08,
    "count": 0.04,
    "copy": 0.08,
    "next": 0.08,
    "given_digit": 0.09,
    "given_largest": 0.11,
    "given_sum": 0.14,
    "sum": 0.10,
    "note_digit": 0.05,
    "note_largest": 0.03,
}
"""Shares of the kinds in the demo pool: exactly half of it needs the image."""


def mix_needing(share: float) -> dict[str, float]:
    """The demo pool's mix with another share of problems that need the image; kinds keep their shares among their like."""
    needed = sum(part for kind, part in POOL_MIX.items() if RECIPES[kind].needs_image)
    scale = {True: share / needed, False: (1 - share) / (1 - needed)}
    return {kind: part * scale[RECIPES[kind].needs_image] for kind, part in POOL_MIX.items()}


@dataclass(frozen=True)
class Problem:
    """A question about one picture of handwritten digits.

    `question` holds no image placeholder. `digits` are the digits drawn, left to right and top to bottom, `cells` where they
    stand (0..8), `rows` their rows in scikit-learn's data. `claim` is what a misleading note in the question says, else None.
    """

    id: str
    question: str
    answer: str
    image: bytes
    role: str
    kind: str
    needs_image: bool
    digits: tuple[int, ...]
    cells: tuple[int, ...]
    rows: tuple[int, ...]
    claim: str | None = None


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.images.astype(np.float64) / 16.0, data.target.astype(int)


@cache
def digit_rows(split: str) -> dict[int, tuple[int, ...]]:
    """Rows of `load_digits` by digit for `split` ("train" or "held_out"); the two splits share no row."""
    if split not in ("train", "held_out"):
        raise ValueError(f"split is {split!r}; use 'train' or 'held_out'")
    labels = _digits()[1]
    low, high = (0, FIRST_HELD_OUT) if split == "train" else (FIRST_HELD_OUT, len(labels))
    return {d: tuple(row for row in range(low, high) if labels[row] == d) for d in range(10)}


@cache
def _glyph(row: int) -> np.ndarray:
    """The 8x8 digit of `row` enlarged to 16x16 by linear interpolation, ink in [0, 1]."""
    small = _digits()[0][row]
    at = (np.arange(CELL) + 0.5) / 2 - 0.5
    low = np.clip(np.floor(at).astype(int), 0, 7)
    high = np.clip(low + 1, 0, 7)
    part = np.clip(at - low, 0.0, 1.0)
    tall = small[low] * (1 - part)[:, None] + small[high] * part[:, None]
    return tall[:, low] * (1 - part)[None, :] + tall[:, high] * part[None, :]


def draw_canvas(rows: Sequence[int], cells: Sequence[int], rng: random.Random) -> np.ndarray:
    """Dark digits on a light, noisy ground: (48, 48) uint8.

    Ink strength and noise differ from picture to picture, so that reading one digit is not equally hard everywhere.
    """
    ink = np.zeros((CANVAS, CANVAS))
    for row, cell in zip(rows, cells, strict=True):
        top, left = CELL * (cell // 3), CELL * (cell % 3)
        top = min(max(top + rng.randint(-1, 1), 0), CANVAS - CELL)
        left = min(max(left + rng.randint(-1, 1), 0), CANVAS - CELL)
        patch = ink[top : top + CELL, left : left + CELL]
        np.maximum(patch, _glyph(row), out=patch)
    strength, noise = rng.uniform(120, 230), rng.uniform(5, 70)
    raw = np.frombuffer(rng.randbytes(CANVAS * CANVAS), dtype=np.uint8).reshape(CANVAS, CANVAS)
    grey = 240.0 - strength * ink + noise * (raw / 255.0 - 0.5)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def png_bytes(grey: np.ndarray) -> bytes:
    """A greyscale PNG of a small (height, width) uint8 array.

    Stored, not deflated, and written here: zlib's output differs between builds, and the pool must come out the same everywhere.
    """
    height, width = grey.shape
    raw = b"".join(b"\0" + line.tobytes() for line in grey)
    if len(raw) > 0xFFFF:
        raise ValueError(f"{height}x{width} is too large for one stored block")
    stored = (
        b"\x78\x01\x01" + struct.pack("<HH", len(raw), len(raw) ^ 0xFFFF) + raw + struct.pack(">I", zlib.adler32(raw))
    )
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", stored), (b"IEND", b""))
    body = (struct.pack(">I", len(c)) + name + c + struct.pack(">I", zlib.crc32(name + c)) for name, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def _three_with_largest(rng: random.Random) -> list[int]:
    """Three digits whose largest is uniform over 2..9, so that no guess is better than 1 in 8."""
    top = rng.randint(2, 9)
    three = [top, rng.randint(0, top - 1), rng.randint(0, top - 1)]
    rng.shuffle(three)
    return three


def _wrong(right: int, low: int, high: int, rng: random.Random) -> int:
    return rng.choice([value for value in range(low, high + 1) if value != right])


def _ask(kind: str, rng: random.Random) -> tuple[str, int, list[int], list[int], str | None]:
    """(question, answer, digits drawn, their cells, misleading claim) for one kind."""
    one, two = [rng.randint(0, 9)], [rng.randint(0, 9), rng.randint(0, 9)]
    anywhere = rng.randrange(CELLS)
    side_by_side = [3 * rng.randrange(3) + column for column in rng.choice(((0, 1), (0, 2), (1, 2)))]
    line = [3 * (anywhere // 3) + column for column in range(3)]
    if kind == "digit":
        return rng.choice(("What digit is this?", "Which digit is shown?")), one[0], one, [anywhere], None
    if kind == "given_digit":
        return f"This picture shows the digit {one[0]}. What digit is it?", one[0], one, [anywhere], None
    if kind == "note_digit":
        claim = _wrong(one[0], 0, 9, rng)
        return f"A note says {claim}. What digit is this?", one[0], one, [anywhere], str(claim)
    if kind == "position":
        side = rng.randrange(2)
        return f"What is the {('left', 'right')[side]} digit?", two[side], two, side_by_side, None
    if kind == "sum":
        return rng.choice(("What is the sum?", "What do the digits add up to?")), sum(two), two, side_by_side, None
    if kind == "given_sum":
        return f"The digits are {two[0]} and {two[1]}. What is the sum?", sum(two), two, side_by_side, None
    if kind in ("largest", "given_largest", "note_largest"):
        three = _three_with_largest(rng)
        if kind == "given_largest":
            told = f"The digits are {three[0]}, {three[1]} and {three[2]}. "
            return told + "Which is the largest?", max(three), three, line, None
        if kind == "note_largest":
            claim = _wrong(max(three), 2, 9, rng)
            return f"A note says {claim}. Which digit is the largest?", max(three), three, line, str(claim)
        return rng.choice(("Which digit is the largest?", "What is the largest digit?")), max(three), three, line, None
    many = [rng.randint(0, 9) for _ in range(rng.randint(1, 6))]
    cells = sorted(rng.sample(range(CELLS), len(many)))
    if kind == "count":
        return rng.choice(("How many digits are there?", "Count the digits.")), len(many), many, cells, None
    if kind == "copy":
        return f"Write the number {one[0]}.", one[0], many, cells, None
    if kind == "next":
        return f"Which number comes after {one[0]}?", one[0] + 1, many, cells, None
    raise ValueError(f"unknown kind {kind!r}; the kinds are {', '.join(RECIPES)}")


def make_problem(kind: str, split: str, rng: random.Random, id: str) -> tuple[Problem, np.ndarray]:
    """One problem of `kind` and its canvas (48, 48) uint8; every draw comes from `rng`."""
    question, answer, digits, cells, claim = _ask(kind, rng)
    by_digit = digit_rows(split)
    rows = [rng.choice(by_digit[d]) for d in digits]
    canvas = draw_canvas(rows, cells, rng)
    recipe = RECIPES[kind]
    problem = Problem(
        id=id, question=question, answer=str(answer), image=png_bytes(canvas), role=recipe.role, kind=kind,
        needs_image=recipe.needs_image, digits=tuple(digits), cells=tuple(cells), rows=tuple(rows), claim=claim,
    )  # fmt: skip
    return problem, canvas


def _quotas(n: int, mix: Mapping[str, float]) -> list[str]:
    """`n` kinds in the shares of `mix`, rounded by largest remainder."""
    total = sum(mix.values())
    exact = {kind: n * share / total for kind, share in mix.items()}
    counts = {kind: int(value) for kind, value in exact.items()}
    by_remainder = sorted(exact, key=lambda kind: (counts[kind] - exact[kind], kind))
    for kind in by_remainder[: n - sum(counts.values())]:
        counts[kind] += 1
    return [kind for kind, count in counts.items() for _ in range(count)]


def make_problems(n: int, split: str = "train", seed: int = 0, mix: Mapping[str, float] | None = None) -> list[Problem]:
    """`n` problems in random order, drawn from the digits of `split` ("train" or "held_out").

    `mix` gives the share of each kind (a key of `RECIPES`); without it the demo pool's own shares. The same arguments give the same
    problems, byte for byte.
    """
    kinds = _quotas(n, POOL_MIX if mix is None else mix)
    rng = random.Random(f"digit problems {split} {seed}")
    rng.shuffle(kinds)
    return [make_problem(kind, split, rng, f"{split}-{seed}-{i:05d}")[0] for i, kind in enumerate(kinds)]
