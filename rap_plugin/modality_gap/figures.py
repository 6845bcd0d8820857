"""Geometry problems with known answers: what is drawn where, which facts the drawing holds, what is asked.

Facts are written in PGPS9K's own clause grammar (arXiv 2302.11097), so that they go the same way into words as that data
does. Angles are multiples of ten degrees and are drawn true; lengths are one-digit numbers and are not to scale. The asked
quantity is called x, in the facts as in the drawing. Coordinates are pixels of a square canvas of side `SIDE`, y downwards.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SIDE = 96
MARGIN = 5
Point = tuple[float, float]
Names = Sequence[str]

LETTERS = (tuple("ABCDEF"), tuple("PQRSTU"), tuple("JKLMNH"))
"""Names of points: a figure takes the first ones that it needs of one row. The centre of a circle is O."""


@dataclass(frozen=True)
class Label:
    """A text and the point where its middle stands."""

    text: str
    x: float
    y: float


@dataclass(frozen=True)
class Figure:
    """One problem before it is drawn.

    `structural` and `semantic` are clauses as PGPS9K writes them; `expression` is the computation that gives `answer`.
    `corners` are right angles to mark: the corner and a point on each leg.
    """

    kind: str
    question: str
    answer: int
    expression: str
    structural: tuple[str, ...]
    semantic: tuple[str, ...]
    labels: tuple[Label, ...]
    lines: tuple[tuple[Point, Point], ...] = ()
    circles: tuple[tuple[Point, float], ...] = ()
    corners: tuple[tuple[Point, Point, Point], ...] = ()


def make_figure(kind: str, rng: random.Random) -> Figure:
    """A figure of `kind` whose labels stand apart from each other and inside the canvas; every draw comes from `rng`."""
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; the kinds are {', '.join(KINDS)}")
    while True:
        figure = KINDS[kind](rng, rng.choice(LETTERS))
        if _fits(figure.labels):
            return figure


def _size(label: Label) -> tuple[float, float]:
    return 7.0 * len(label.text) + 1, 10.0


def _fits(labels: Sequence[Label]) -> bool:
    for i, one in enumerate(labels):
        width, height = _size(one)
        if not (width / 2 <= one.x <= SIDE - width / 2 and height / 2 <= one.y <= SIDE - height / 2):
            return False
        for other in labels[:i]:
            wide, high = _size(other)
            if abs(one.x - other.x) < (width + wide) / 2 and abs(one.y - other.y) < (height + high) / 2:
                return False
    return True


def _towards(start: Point, degrees: float, length: float) -> Point:
    """The point at `length` from `start`; degrees counter-clockwise from the right, as a reader sees them."""
    turn = math.radians(degrees)
    return start[0] + length * math.cos(turn), start[1] - length * math.sin(turn)


def _direction(start: Point, end: Point) -> float:
    return math.degrees(math.atan2(start[1] - end[1], end[0] - start[0]))


def _between(one: Point, other: Point, share: float = 0.5) -> Point:
    return one[0] + share * (other[0] - one[0]), one[1] + share * (other[1] - one[1])


def _named(names: Names, points: Sequence[Point], away_from: Point, distance: float = 8) -> list[Label]:
    """Names of points, each on the far side of its point as seen from `away_from`."""
    return [Label(n, *_towards(p, _direction(away_from, p), distance)) for n, p in zip(names, points, strict=True)]


def _angle_label(text: str, corner: Point, one: Point, other: Point) -> Label:
    """A value inside the angle at `corner`: the narrower the angle, the further from the corner."""
    first, second = _direction(corner, one), _direction(corner, other)
    width = (second - first) % 360
    middle = first + width / 2 if width <= 180 else first - (360 - width) / 2
    half = math.radians(min(width, 360 - width) / 2)
    return Label(text, *_towards(corner, middle, min(max(8.5 / math.sin(half), 10), 25)))


def _beside(text: str, one: Point, other: Point, away_from: Point) -> Label:
    """A value beside the middle of a segment, on the far side of `away_from`."""
    x, y = _between(one, other)
    across = _direction(one, other) + 90
    near, far = _towards((x, y), across, 7.5), _towards((x, y), across + 180, 7.5)
    chosen = max(near, far, key=lambda p: math.dist(p, away_from))
    return Label(text, *chosen)


def _triangle(rng: random.Random, first: int, second: int) -> tuple[Point, Point, Point]:
    """Corners of a triangle with these two angles, as large as the canvas allows, turned a little."""
    third = 180 - first - second
    base = 1.0
    side = base * math.sin(math.radians(second)) / math.sin(math.radians(third))
    turn = rng.uniform(-25, 25)
    raw = [(0.0, 0.0), _towards((0, 0), turn, base), _towards((0, 0), turn + first, side)]
    if rng.random() < 0.5:
        raw = [(-x, y) for x, y in raw]
    if rng.random() < 0.3:
        raw = [(x, -y) for x, y in raw]
    low_x, low_y = min(x for x, _ in raw), min(y for _, y in raw)
    wide, high = max(x for x, _ in raw) - low_x, max(y for _, y in raw) - low_y
    room = SIDE - 2 * MARGIN - 16
    scale = room / max(wide, high)
    left = (SIDE - scale * wide) / 2 + rng.uniform(-3, 3)
    top = (SIDE - scale * high) / 2 + rng.uniform(-3, 3)
    a, b, c = ((left + scale * (x - low_x), top + scale * (y - low_y)) for x, y in raw)
    return a, b, c


def _centre(points: Sequence[Point]) -> Point:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def _sides(a: Point, b: Point, c: Point) -> tuple[tuple[Point, Point], ...]:
    return (a, b), (b, c), (c, a)


def _triangle_clauses(names: Names) -> tuple[str, ...]:
    a, b, c = names[:3]
    return f"line {a} {b}", f"line {b} {c}", f"line {c} {a}"


def _third_angle(rng: random.Random, names: Names) -> Figure:
    first = rng.randrange(30, 101, 10)
    second = rng.randrange(30, 151 - first, 10)
    corners = _triangle(rng, first, second)
    a, b, c = corners
    return Figure(
        kind="triangle_angle",
        question="Find x.",
        answer=180 - first - second,
        expression=f"180-{first}-{second}",
        structural=_triangle_clauses(names),
        semantic=(
            f"m \\angle {names[1]}{names[0]}{names[2]} = {first}",
            f"m \\angle {names[2]}{names[1]}{names[0]} = {second}",
            f"m \\angle {names[0]}{names[2]}{names[1]} = x",
        ),
        labels=(
            _angle_label(str(first), a, b, c),
            _angle_label(str(second), b, a, c),
            _angle_label("x", c, a, b),
            *_named(names[:3], corners, _centre(corners)),
        ),
        lines=_sides(*corners),
    )


def _right_triangle(rng: random.Random, names: Names) -> Figure:
    first = rng.randrange(30, 61, 10)
    corners = _triangle(rng, first, 90)
    a, b, c = corners
    return Figure(
        kind="right_triangle",
        question="Find x.",
        answer=90 - first,
        expression=f"90-{first}",
        structural=_triangle_clauses(names),
        semantic=(
            f"{names[0]}{names[1]} \\perp {names[1]}{names[2]} on {names[1]}",
            f"m \\angle {names[1]}{names[0]}{names[2]} = {first}",
            f"m \\angle {names[0]}{names[2]}{names[1]} = x",
        ),
        labels=(
            _angle_label(str(first), a, b, c),
            _angle_label("x", c, a, b),
            *_named(names[:3], corners, _centre(corners)),
        ),
        lines=_sides(*corners),
        corners=((b, a, c),),
    )


def _perimeter(rng: random.Random, names: Names) -> Figure:
    while True:
        one, two, three = (rng.randint(2, 9) for _ in range(3))
        if one + two > three and two + three > one and one + three > two:
            break
    corners = _triangle(rng, rng.randrange(45, 76, 5), rng.randrange(45, 61, 5))
    a, b, c = corners
    middle = _centre(corners)
    pairs = zip((one, two, three), _sides(a, b, c), strict=True)
    return Figure(
        kind="perimeter",
        question=f"Find the perimeter of \\triangle {''.join(names[:3])}.",
        answer=one + two + three,
        expression=f"{one}+{two}+{three}",
        structural=_triangle_clauses(names),
        semantic=(
            f"{names[0]}{names[1]} = {one}",
            f"{names[1]}{names[2]} = {two}",
            f"{names[2]}{names[0]} = {three}",
        ),
        labels=(
            *(_beside(str(value), *side, middle) for value, side in pairs),
            *_named(names[:3], corners, middle, 7),
        ),
        lines=_sides(a, b, c),
    )


def _segments(rng: random.Random, names: Names) -> Figure:
    """Three points on a line: two of the lengths AB, BC and AC are given. A second line below shows the whole."""
    one, two = rng.randint(1, 9), rng.randint(1, 9)
    asked = rng.randrange(3)
    values = [one, two, one + two]
    shown = [("x" if i == asked else str(value)) for i, value in enumerate(values)]
    expression = (f"{values[2]}-{two}", f"{values[2]}-{one}", f"{one}+{two}")[asked]
    turn, y = rng.uniform(-14, 14), rng.uniform(36, 48)
    start = (rng.uniform(9, 12), y + (SIDE / 2 - 10) * math.tan(math.radians(turn)))
    end = _towards(start, turn, rng.uniform(70, 78))
    part = _between(start, end, min(max(one / values[2], 0.32), 0.68))
    below = turn - 90
    low_start, low_end = _towards(start, below, 24), _towards(end, below, 24)
    a, b, c = names[:3]
    ticks = tuple((_towards(p, below, 4), _towards(p, below + 180, 4)) for p in (start, part, end, low_start, low_end))
    return Figure(
        kind="segments",
        question="Find x.",
        answer=values[asked],
        expression=expression,
        structural=(f"line {a} {b} {c}",),
        semantic=(f"{a}{b} = {shown[0]}", f"{b}{c} = {shown[1]}", f"{a}{c} = {shown[2]}"),
        labels=(
            Label(shown[0], *_towards(_between(start, part), below + 180, 8)),
            Label(shown[1], *_towards(_between(part, end), below + 180, 8)),
            Label(shown[2], *_towards(_between(low_start, low_end), below, 8)),
            *(Label(n, *_towards(p, below, 10)) for n, p in zip(names[:3], (start, part, end), strict=True)),
        ),
        lines=((start, end), (low_start, low_end), *ticks),
    )


def _crossing(rng: random.Random, names: Names) -> Figure:
    """Two lines that cross: an angle and its vertical or adjacent angle."""
    given = rng.randrange(40, 141, 10)
    adjacent = rng.random() < 0.5
    turn = rng.uniform(-20, 20)
    o = (SIDE / 2 + rng.uniform(-5, 5), SIDE / 2 + rng.uniform(-5, 5))
    a, b = _towards(o, turn, 38), _towards(o, turn + 180, 38)
    c, d = _towards(o, turn + given, 38), _towards(o, turn + given + 180, 38)
    name = dict(zip("abcd", names[:4], strict=True)) | {"o": "O"}
    first = f"m \\angle {name['a']}O{name['c']} = {given}"
    second = f"m \\angle {name['c']}O{name['b']} = x" if adjacent else f"m \\angle {name['b']}O{name['d']} = x"
    return Figure(
        kind="adjacent_angle" if adjacent else "vertical_angle",
        question="Find x.",
        answer=180 - given if adjacent else given,
        expression=f"180-{given}" if adjacent else str(given),
        structural=(f"line {name['a']} O {name['b']}", f"line {name['c']} O {name['d']}"),
        semantic=(first, second),
        labels=(
            _angle_label(str(given), o, a, c),
            _angle_label("x", o, c, b) if adjacent else _angle_label("x", o, b, d),
            _angle_label("O", o, d, a),
            *_named(names[:4], (a, b, c, d), o, 6),
        ),
        lines=((a, b), (c, d)),
    )


def _parallel(rng: random.Random, names: Names) -> Figure:
    """Two parallel lines and a third across: an angle and its corresponding or same-side angle."""
    given = rng.randrange(50, 131, 10)
    same_side = rng.random() < 0.5
    upper, lower = (SIDE / 2, 31 + rng.uniform(-2, 2)), (SIDE / 2, 69 + rng.uniform(-2, 2))
    shift = (lower[1] - upper[1]) / math.tan(math.radians(given)) / 2
    middle = SIDE / 2 + rng.uniform(-4, 4)
    p, q = (middle + shift, upper[1]), (middle - shift, lower[1])
    a, b, c, d = (8.0, p[1]), (SIDE - 8.0, p[1]), (8.0, q[1]), (SIDE - 8.0, q[1])
    top, bottom = _towards(p, given, 24), _towards(q, given + 180, 22)
    na, nb, nc, nd, top_name, bottom_name = names[:6]
    return Figure(
        kind="same_side_angle" if same_side else "corresponding_angle",
        question="Find x.",
        answer=180 - given if same_side else given,
        expression=f"180-{given}" if same_side else str(given),
        structural=(f"line {na} V {nb}", f"line {nc} W {nd}", f"line {top_name} V W {bottom_name}"),
        semantic=(
            f"{na}{nb} \\parallel {nc}{nd}",
            f"m \\angle {nb}V{top_name} = {given}",
            f"m \\angle {nc}WV = x" if same_side else f"m \\angle {nd}WV = x",
        ),
        labels=(
            _angle_label(str(given), p, b, top),
            _angle_label("x", q, c if same_side else d, p),
            Label("V", p[0] - 8, p[1] + 8),
            Label("W", q[0] + 8, q[1] + 8),
            Label(top_name, top[0] - 8, top[1] + 2),
            Label(bottom_name, bottom[0] - 8, bottom[1] - 2),
            Label(na, a[0], a[1] - 7),
            Label(nb, b[0], b[1] - 7),
            Label(nc, c[0], c[1] - 7),
            Label(nd, d[0], d[1] - 7),
        ),
        lines=((a, b), (c, d), (top, bottom)),
    )


def _radius(rng: random.Random, names: Names) -> Figure:
    """A circle with its centre: the radius or the diameter is given, the other is asked."""
    radius = rng.randint(1, 9)
    asked_diameter = rng.random() < 0.5
    o, size = (SIDE / 2 + rng.uniform(-4, 4), SIDE / 2 + rng.uniform(-4, 4)), rng.uniform(31, 35)
    turn = rng.uniform(-30, 30)
    a, b, c = _towards(o, turn + 180, size), _towards(o, turn, size), _towards(o, turn + rng.choice((70, 110)), size)
    na, nb, nc = names[:3]
    whole, half = ("x", str(radius)) if asked_diameter else (str(2 * radius), "x")
    return Figure(
        kind="diameter" if asked_diameter else "radius",
        question="Find x.",
        answer=2 * radius if asked_diameter else radius,
        expression=f"2*{radius}" if asked_diameter else f"{2 * radius}/2",
        structural=(f"\\odot O lieson {na} {nb} {nc}", f"line {na} O {nb}", f"line O {nc}"),
        semantic=(f"O{nc} = {half}", f"{na}{nb} = {whole}"),
        labels=(
            _beside(half, o, c, a),
            Label(whole, *_towards(o, turn - 90, 9)),
            *_named(names[:3], (a, b, c), o, 7),
            Label("O", *_towards(o, turn + 180 - 35, 9)),
        ),
        lines=((a, b), (o, c)),
        circles=((o, size),),
    )


def _inscribed(rng: random.Random, names: Names) -> Figure:
    """A circle: an angle at the centre and the one over the same arc from the circle."""
    inscribed = rng.randrange(30, 71, 10)
    asked_inscribed = rng.random() < 0.5
    o, size = (SIDE / 2 + rng.uniform(-3, 3), SIDE / 2 + rng.uniform(-3, 3)), rng.uniform(33, 36)
    turn = rng.choice((90, -90)) + rng.uniform(-25, 25)
    c = _towards(o, turn, size)
    a, b = _towards(o, turn + 180 - inscribed, size), _towards(o, turn + 180 + inscribed, size)
    na, nb, nc = names[:3]
    at_centre, at_circle = (str(2 * inscribed), "x") if asked_inscribed else ("x", str(inscribed))
    return Figure(
        kind="inscribed_angle" if asked_inscribed else "central_angle",
        question="Find x.",
        answer=inscribed if asked_inscribed else 2 * inscribed,
        expression=f"{2 * inscribed}/2" if asked_inscribed else f"2*{inscribed}",
        structural=(
            f"\\odot O lieson {na} {nb} {nc}",
            f"line O {na}",
            f"line O {nb}",
            f"line {nc} {na}",
            f"line {nc} {nb}",
        ),
        semantic=(f"m \\angle {na}O{nb} = {at_centre}", f"m \\angle {na}{nc}{nb} = {at_circle}"),
        labels=(
            _angle_label(at_centre, o, a, b),
            _angle_label(at_circle, c, a, b),
            *_named(names[:3], (a, b, c), o, 7),
            Label("O", *_towards(o, turn - 55, 10)),
        ),
        lines=((o, a), (o, b), (c, a), (c, b)),
        circles=((o, size),),
    )


KINDS: dict[str, Callable[[random.Random, Names], Figure]] = {
    "triangle_angle": _third_angle,
    "right_triangle": _right_triangle,
    "perimeter": _perimeter,
    "segments": _segments,
    "crossing": _crossing,
    "parallel": _parallel,
    "circle_length": _radius,
    "circle_angle": _inscribed,
}
"""Families of figures; the `kind` of a figure can be finer (crossing: `vertical_angle` or `adjacent_angle`)."""
