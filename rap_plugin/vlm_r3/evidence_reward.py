"""The optional reward term `evidence`: looking pays only where it was needed.

Models that are rewarded for drawing boxes learn to draw boxes: most problems that published systems solve with crops they
solve without. This term is 1 only where the answer is right with the model's own crops and wrong with blank ones. Where
boxes of the evidence are known, the term needs no second answer: it is how well the regions meet them.
"""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.vlm_r3.coordinates import Region
from rap_plugin.vlm_r3.evidence_boxes import precision
from rap_plugin.vlm_r3.interventions import shower
from rap_plugin.vlm_r3.loop import RegionRow
from rap_plugin.vlm_r3.trace import Trace


def evidence_reward(right: bool, trace: Trace, blank_right: bool | None = None, boxes: Sequence[Region] = ()) -> float:
    """Between 0 and 1; 0 for a wrong answer and for one without a crop.

    With `boxes` it is the best intersection over union of a region and a box; else 1 where the answer with blank crops
    (`blank_row`) is wrong. Neither known: 0.
    """
    if not right or not trace.crops:
        return 0.0
    met = precision(boxes, trace)
    if met is not None:
        return met
    return float(blank_right is False)


def blank_row(row: RegionRow) -> RegionRow:
    """The same row from its beginning, shown grey in place of every region: run it to learn `blank_right`."""
    return RegionRow.of(
        row.turn.prompt,
        row.frame,
        row.options,
        seed=row.turn.seed,
        key=row.key,
        show=shower("blank"),
        instead="blank",
    )
