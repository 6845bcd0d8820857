"""Where the evidence of a problem is known: the boxes that its row brings, and how much of them a row was shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rap_plugin.vlm_r3.coordinates import Region
from rap_plugin.vlm_r3.interventions import overlap
from rap_plugin.vlm_r3.trace import Trace

COLUMNS = ("evidence_boxes", "bboxs", "bboxes", "bbox", "bbox_2d")
"""Columns that hold them, where none is named; the first one that a row has."""

MOST = 64
"""Boxes of one row that are read."""

HOLDS = 0.5
"""Share of a box from which crops hold it."""


def known_boxes(row: Mapping[str, Any], column: str | None = None) -> tuple[Region, ...]:
    """The boxes of a pool's row, [x1, y1, x2, y2] in pixels of the image: one, or a list of them; () where there are none."""
    names = (column,) if column else COLUMNS
    value = next((row[name] for name in names if row.get(name) is not None), None)
    if not isinstance(value, (list, tuple)):
        return ()
    several = value if value and isinstance(value[0], (list, tuple)) else [value]
    return tuple(box for box in map(_region, several[:MOST]) if box is not None)


def shown_share(boxes: Sequence[Region], trace: Trace) -> float | None:
    """The mean share of the evidence that the row's own regions hold, each box in the region that holds most of it.

    0 for a row that was shown nothing, None where no evidence is known. Boxes are about the first image.
    """
    if not boxes:
        return None
    regions = [look.region for look in trace.looks if look.region and look.valid and look.image == 0]
    shares = [max((overlap(box, region) for region in regions), default=0) / _area(box) for box in boxes]
    return sum(shares) / len(shares)


def precision(boxes: Sequence[Region], trace: Trace) -> float | None:
    """The largest intersection over union between a region and a box of the evidence; None where none is known."""
    if not boxes:
        return None
    regions = [look.region for look in trace.looks if look.region and look.valid and look.image == 0]
    return max((_iou(box, region) for box in boxes for region in regions), default=0.0)


def _iou(one: Region, other: Region) -> float:
    shared = overlap(one, other)
    return shared / (_area(one) + _area(other) - shared)


def _area(region: Region) -> int:
    return (region[2] - region[0]) * (region[3] - region[1])


def _region(value: Any) -> Region | None:
    try:
        left, top, right, bottom = (float(number) for number in value)
    except (TypeError, ValueError):
        return None
    if not all(map(math.isfinite, (left, top, right, bottom))) or max(map(abs, (left, top, right, bottom))) > 1e7:
        return None
    region = (math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))
    return region if region[0] < region[2] and region[1] < region[3] else None
