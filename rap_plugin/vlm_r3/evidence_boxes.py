"""Where the evidence of a problem is known: the boxes that its row brings, and how much of them a row was shown."""

from __future__ import annotations

import json
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


NAMES = ("bbox_2d", "bbox", "box_2d", "box")
"""Keys of a box where it is a mapping, as models write it."""

LONGEST = 20_000
"""Characters of a text that holds boxes as JSON."""


def known_boxes(row: Mapping[str, Any], column: str | None = None) -> tuple[Region, ...]:
    """The boxes of a pool's row, [x1, y1, x2, y2] in pixels of the image: one, or a list of them; () where there are none.

    A box may be a mapping with a key `bbox_2d`, and all of it JSON in a text. What is no box is left out.
    """
    return tuple(box for box in read_boxes(row, column) if box is not None)


def read_boxes(row: Mapping[str, Any], column: str | None = None) -> tuple[Region | None, ...]:
    """As `known_boxes`, with None for each that is no box: reversed, not four numbers, or shares of the image."""
    names = (column,) if column else COLUMNS
    value = _listed(next((row[name] for name in names if row.get(name) is not None), None))
    if not isinstance(value, (list, tuple)) or not value:
        return ()
    several = value if any(isinstance(one, (list, tuple, Mapping)) for one in value) else [value]
    return tuple(map(_region, several[:MOST]))


def _listed(value: Any) -> Any:
    """A list of boxes, from whatever holds it."""
    if isinstance(value, str) and len(value) <= LONGEST and value.lstrip()[:1] in ("[", "{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return [value] if isinstance(value, Mapping) else value


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
    if isinstance(value, Mapping):
        value = next((value[name] for name in NAMES if name in value), None)
    if not isinstance(value, (list, tuple)) or any(isinstance(number, bool) for number in value):
        return None
    try:
        left, top, right, bottom = (float(number) for number in value)
    except (TypeError, ValueError, OverflowError):
        return None
    if not all(map(math.isfinite, (left, top, right, bottom))) or max(map(abs, (left, top, right, bottom))) > 1e7:
        return None
    if max(left, top, right, bottom) <= 1:
        return None  # shares of the image's sides
    region = (math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))
    return region if region[0] < region[2] and region[1] < region[3] else None
