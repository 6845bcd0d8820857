"""The pool that RAP's released code reads (arXiv 2506.04755): EasyR1's columns with `onlyid` and `id`."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.samples.formats.base import Format, Row
from rap_plugin.samples.formats.geometry3k import read


def detect(columns: Sequence[str], first_rows: Sequence[Row]) -> bool:
    """EasyR1's columns and the numbers that its rollout dumps refer to."""
    return {"problem", "answer", "images", "onlyid"} <= set(columns)


RAP_POOL = Format("rap-pool", "RAP's released pool: problem, answer, images, onlyid, id", detect, read)
