"""The flow from pool to selection: which test took what, as ribbons whose width is a number of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rap_plugin.report.words import kind_of, verdict_word
from rap_plugin.selectors.base import CHOSEN, Selection

WIDTH = 1120.0
LEFT = 4.0
RIGHT = 150.0
"""Room for the labels of the last column."""
TOP = 74.0
"""Room for the heads of the columns."""
DRAWN = 300.0
"""Height of the whole pool."""
BAR = 9.0
THIN = 2.0
"""Least thickness of a ribbon: one sample of a large pool must still be seen."""
GAP = 16.0
LABEL = 34.0
"""Height of a two-line label."""
LANE_LABEL = 20.0
"""Room for the line under the replacements."""


QUARANTINE = "quarantine"
FIRST_TEST = 2
"""Column of the first test, behind the pool and its usable samples."""

_PASSING = {"stem": "go on", "selected": "selected", "hard_replacement": "hard replacements"}


@dataclass
class Node:
    """A group of samples at one stage."""

    key: str
    count: int
    column: int
    kind: str
    """CSS class of its colour: `stem`, `quarantine` or a verdict."""
    title: str = ""
    note: str = ""
    ends: bool = False
    """The samples leave here, so their label stands right of the bar."""
    hidden: bool = False
    """A waypoint: ribbons pass, nothing is drawn."""
    x: float = 0.0
    y: float = 0.0
    height: float = 0.0


@dataclass(frozen=True)
class Link:
    """Samples that go from one node to another."""

    source: str
    target: str
    count: int


@dataclass(frozen=True)
class Ribbon:
    """A drawn link."""

    path: str
    source_kind: str
    target_kind: str
    title: str
    x1: float
    x2: float


@dataclass(frozen=True)
class Head:
    """The head over a column: which step, and how many samples are left after it."""

    x: float
    step: str
    question: str
    count: int
    share: float


@dataclass
class Flow:
    """A flow, laid out."""

    nodes: list[Node]
    links: list[Link]
    steps: list[tuple[str, str]]
    total: int
    ribbons: list[Ribbon] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)
    width: float = WIDTH
    height: float = 0.0


def build_flow(selection: Selection) -> Flow:
    """The flow of a selection, laid out: for RAP test by test, for other selectors in one step."""
    counts = selection.decision.counts()
    usable, quarantined = len(selection.table), len(selection.quarantine)
    options = selection.config.selection
    steps = [("Pool", "every row"), ("Usable", "readable and gradable")]
    stages: list[tuple[tuple[str, str], tuple[str, ...]]]
    if options.selector == "rap" and options.preset == "paper":
        stages = [
            (
                ("CDE", "does the image matter?"),
                ("language_prior", "unsolved", "cut_off", "too_few_graded", "text_only"),
            ),
            (("ACE", "is attention sound?"), ("attention_biased", "unmeasured")),
            (("DRM", "is there more to learn?"), ("easy", "not_chosen")),
        ]
        used = (
            options.cde,
            options.ace and (counts.get("attention_biased", 0) > 0 or _measured(selection)),
            options.drm,
        )
        # A test that is switched off keeps its column only where samples leave there all the same (never solved).
        stages = [
            stage for stage, on in zip(stages, used, strict=True) if on or any(counts.get(word) for word in stage[1])
        ]
    else:
        words = tuple(word for word in counts if word not in CHOSEN)
        stages = [((options.selector, "the selector's rule"), words)] if words else []
    rest = counts.copy()
    chosen = sum(counts.get(word, 0) for word in CHOSEN)
    replaced = counts.get("hard_replacement", 0)

    nodes = [Node("pool", usable + quarantined, 0, "stem"), Node("usable", usable, 1, "stem")]
    links = [Link("pool", "usable", usable)]
    if quarantined:
        nodes.append(Node(QUARANTINE, quarantined, 1, QUARANTINE, "Quarantine", "with its reason", ends=True))
        links.append(Link("pool", QUARANTINE, quarantined))
    stem, lane, left = "usable", "usable", usable - replaced
    for at, (step, leaving) in enumerate(stages):
        column = len(steps)
        steps.append(step)
        gone = [(word, rest.pop(word)) for word in leaving if rest.get(word)]
        left -= sum(number for _, number in gone)
        nodes.append(Node(f"stem{column}", left, column, "stem"))
        links.append(Link(stem, f"stem{column}", left))
        for word, number in gone:
            nodes.append(Node(word, number, column, kind_of(word), verdict_word(word).title, ends=True))
            links.append(Link(stem, word, number))
        if replaced:
            # They failed CDE and come back, so they leave the stem there.
            nodes.append(Node(f"lane{column}", replaced, column, "hard_replacement", hidden=at > 0))
            links.append(Link(lane, f"lane{column}", replaced))
            lane = f"lane{column}"
        stem = f"stem{column}"
    last = len(steps)
    steps.append(("Selection", "what to train on"))
    nodes.append(Node("selection", chosen, last, "selected"))
    links.append(Link(stem, "selection", left))
    if replaced:
        links.append(Link(lane, "selection", replaced))
    links = [link for link in links if link.count]
    touched = {link.source for link in links} | {link.target for link in links} | {"pool", "selection"}
    return _layout(Flow([node for node in nodes if node.key in touched], links, steps, usable + quarantined))


def _measured(selection: Selection) -> bool:
    import numpy as np

    return not bool(np.isnan(selection.scores["log_psi"]).all())


def _layout(flow: Flow) -> Flow:
    """Places bars and ribbons. From top to bottom: the samples that go on, those that leave, the replacements, which
    run below everything that leaves so that no ribbons cross, and the quarantine.
    """
    scale = DRAWN / max(flow.total, 1)
    thickness = {link: max(THIN, link.count * scale) for link in flow.links}
    _size_bars(flow, thickness)
    bottom = _place_stages(flow)
    bottom = _place_lane(flow, bottom)
    bottom = _place_quarantine(flow, bottom)
    flow.height = max(bottom, TOP + max(node.height for node in flow.nodes)) + 8
    _draw_ribbons(flow, thickness)
    _write_heads(flow)
    return flow


def _column_x(flow: Flow, column: int) -> float:
    pace = (WIDTH - LEFT - RIGHT - BAR) / max(len(flow.steps) - 1, 1)
    return LEFT + column * pace


def _size_bars(flow: Flow, thickness: dict[Link, float]) -> None:
    """A bar is as high as the ribbons on its fuller side."""
    for node in flow.nodes:
        arriving = sum(thickness[link] for link in flow.links if link.target == node.key)
        leaving = sum(thickness[link] for link in flow.links if link.source == node.key)
        node.height = max(THIN, arriving, leaving)
        node.x = _column_x(flow, node.column)


def _place_stages(flow: Flow) -> float:
    """Stacks the bars of every column from the top; returns where the longest stack ends."""
    longest = TOP
    for column in range(len(flow.steps)):
        y = TOP
        for node in flow.nodes:
            if node.column != column or _is_lane(node) or node.key == QUARANTINE:
                continue
            node.y = y
            y += (max(node.height, LABEL) if node.ends else node.height) + GAP
        if column >= FIRST_TEST:
            longest = max(longest, y - GAP)
    return longest


def _place_lane(flow: Flow, bottom: float) -> float:
    lane = [node for node in flow.nodes if _is_lane(node)]
    if not lane:
        return bottom
    for node in lane:
        node.y = bottom + GAP
    return bottom + GAP + max(node.height for node in lane) + LANE_LABEL


def _place_quarantine(flow: Flow, bottom: float) -> float:
    found = next((node for node in flow.nodes if node.key == QUARANTINE), None)
    if found is None:
        return bottom
    beside = TOP + max(node.height for node in flow.nodes if node.column == found.column)
    found.y = max(bottom, beside) + GAP
    return found.y + max(found.height, LABEL)


def _write_heads(flow: Flow) -> None:
    """Over every column: how many samples are left, those on the replacements' lane included."""
    for column, (step, question) in enumerate(flow.steps):
        here = [node for node in flow.nodes if node.column == column]
        going_on = sum(node.count for node in here if not node.ends and node.kind in ("stem", "selected"))
        count = going_on + sum(node.count for node in here if _is_lane(node))
        flow.heads.append(Head(_column_x(flow, column), step, question, count, count / max(flow.total, 1)))


def _is_lane(node: Node) -> bool:
    return node.key.startswith("lane")


def _draw_ribbons(flow: Flow, thickness: dict[Link, float]) -> None:
    by_key = {node.key: node for node in flow.nodes}
    left_at = {node.key: node.y for node in flow.nodes}
    right_at = {node.key: node.y for node in flow.nodes}
    for link in flow.links:
        source, target = by_key[link.source], by_key[link.target]
        y1, y2, size = right_at[source.key], left_at[target.key], thickness[link]
        right_at[source.key] += size
        left_at[target.key] += size
        x1, x2 = source.x + BAR, target.x
        if source.hidden:
            x1 -= BAR
        middle = (x1 + x2) / 2
        path = (
            f"M{x1:.1f},{y1:.1f}C{middle:.1f},{y1:.1f} {middle:.1f},{y2:.1f} {x2:.1f},{y2:.1f}"
            f"V{y2 + size:.1f}C{middle:.1f},{y2 + size:.1f} {middle:.1f},{y1 + size:.1f} {x1:.1f},{y1 + size:.1f}Z"
        )
        what = target.title or _PASSING.get(target.kind, "")
        flow.ribbons.append(Ribbon(path, source.kind, target.kind, f"{what}: {link.count:,}", x1, x2))


def gradients(ribbons: Sequence[Ribbon]) -> list[tuple[str, str, str]]:
    """The distinct pairs of colours that ribbons run between, as (id, from, to)."""
    pairs = sorted({(ribbon.source_kind, ribbon.target_kind) for ribbon in ribbons})
    return [(f"from-{one}-to-{other}", one, other) for one, other in pairs]
