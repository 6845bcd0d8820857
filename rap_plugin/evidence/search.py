"""Which samples of a run hold a text."""

from __future__ import annotations

from collections.abc import Mapping

from rap_plugin.evidence.damage import names_damage
from rap_plugin.evidence.database import Database
from rap_plugin.rollout import Arm

MOST = 5_000
"""Samples that a search finds at most: a common word of a large run ends early."""


@names_damage
def find_text(store: Database, probes: Mapping[Arm, int], text: str) -> list[int]:
    """Numbers of up to `MOST` samples whose question, gold answer or a response holds the text, whatever the case of
    its ASCII letters.
    """
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    pattern = f"%{escaped}%"
    found = store.rows(
        "SELECT sample FROM samples WHERE question LIKE ? ESCAPE '\\' OR gold LIKE ? ESCAPE '\\' LIMIT ?",
        (pattern, pattern, MOST),
    )
    marks = ", ".join("?" * len(probes))
    found += store.rows(
        f"SELECT DISTINCT sample FROM responses WHERE probe IN ({marks}) AND text LIKE ? ESCAPE '\\' LIMIT ?",
        (*probes.values(), pattern, MOST),
    )
    return sorted({int(row[0]) for row in found})[:MOST]
