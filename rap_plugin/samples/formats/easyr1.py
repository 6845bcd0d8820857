"""EasyR1: geometry3k's columns, `images` optional, others beside them."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.samples.formats.base import Format, Row
from rap_plugin.samples.formats.geometry3k import read


def detect(columns: Sequence[str], first_rows: Sequence[Row]) -> bool:
    """The columns that EasyR1 reads by default."""
    return {"problem", "answer", "images"} <= set(columns)


EASYR1 = Format("easyr1", "EasyR1: problem, answer, images, and more columns", detect, read)
