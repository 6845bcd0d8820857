"""The causal discrepancy of crops: what a model gets right with the regions that it asked for, and with others in their place.

A model may look and not need it, or look at the wrong place, or ignore what it sees. The answers under the same prompt, the
same draws and other crops tell: `blank` crops show nothing, `swapped` ones another problem's image, `random` ones another
place of the same image in the same size, and with `none` the turn goes on without an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from rap_plugin.evaluation.stats import bootstrap_mean
from rap_plugin.vlm_r3.coordinates import Region
from rap_plugin.vlm_r3.evidence_boxes import HOLDS, shown_share
from rap_plugin.vlm_r3.measures import Share, accuracy_by_looks, looks_of
from rap_plugin.vlm_r3.rows import GradedRow, accuracy, by_sample
from rap_plugin.vlm_r3.settings import Crops

Rows = Mapping[tuple[int, int], GradedRow]


@dataclass(frozen=True, slots=True)
class CropContrast:
    """Answers with other crops beside the same answers with their own."""

    crops: Crops
    accuracy: Share
    loss: float | None
    """Accuracy with own crops minus accuracy with these, over the same problems: the causal discrepancy."""
    loss_interval: tuple[float, float] | None
    """95 %, paired: problems are drawn again (bootstrap)."""
    changed: Share
    """Answers that are other ones than with own crops, of those that were shown any."""
    loss_where_looked: float | None
    """The same loss over problems with at least one crop."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "crops": self.crops,
            "accuracy": self.accuracy.as_dict(),
            "loss": self.loss,
            "loss_interval": self.loss_interval,
            "changed": self.changed.as_dict(),
            "loss_where_looked": self.loss_where_looked,
        }

    @staticmethod
    def from_dict(told: Mapping[str, Any]) -> CropContrast:
        """What `as_dict` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        if told["crops"] not in get_args(Crops):
            raise ValueError(f"unknown crops {told['crops']!r:.40}")
        interval = told["loss_interval"]
        return CropContrast(
            told["crops"],
            Share.from_dict(told["accuracy"]),
            _number(told["loss"]),
            None if interval is None else (float(interval[0]), float(interval[1])),
            Share.from_dict(told["changed"]),
            _number(told["loss_where_looked"]),
        )


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """What looking is worth to a model on a pool."""

    own: Share
    contrasts: tuple[CropContrast, ...]
    looks: Mapping[str, Any]
    by_looks: Mapping[str, Share]
    shown: float | None
    """Mean share of the known evidence that the model's regions hold; None where no boxes are known."""
    with_evidence: Share | None
    without_evidence: Share | None
    """Accuracy where the regions hold at least half of the evidence, and where they do not."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "accuracy_own_crops": self.own.as_dict(),
            "contrasts": [contrast.as_dict() for contrast in self.contrasts],
            "looks": dict(self.looks),
            "accuracy_by_crops": {name: share.as_dict() for name, share in self.by_looks.items()},
            "evidence_shown": self.shown,
            "accuracy_with_evidence": self.with_evidence and self.with_evidence.as_dict(),
            "accuracy_without_evidence": self.without_evidence and self.without_evidence.as_dict(),
        }

    @staticmethod
    def from_dict(told: Mapping[str, Any]) -> Faithfulness:
        """What `as_dict` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        with_evidence, without = told["accuracy_with_evidence"], told["accuracy_without_evidence"]
        return Faithfulness(
            own=Share.from_dict(told["accuracy_own_crops"]),
            contrasts=tuple(CropContrast.from_dict(one) for one in told["contrasts"]),
            looks=told["looks"],
            by_looks={str(name): Share.from_dict(part) for name, part in told["accuracy_by_crops"].items()},
            shown=_number(told["evidence_shown"]),
            with_evidence=with_evidence and Share.from_dict(with_evidence),
            without_evidence=without and Share.from_dict(without),
        )


def measure_faithfulness(
    own: Rows, others: Mapping[Crops, Rows], boxes: Mapping[int, Sequence[Region]] | None = None
) -> Faithfulness:
    """From graded rows by (sample, rollout): `own` crops, the `others` by kind, known evidence by sample."""
    shares = {key: shown_share((boxes or {}).get(key[0], ()), row.trace) for key, row in own.items()}
    known = {key: share for key, share in shares.items() if share is not None}
    held = [own[key] for key, share in known.items() if share >= HOLDS]
    missed = [own[key] for key, share in known.items() if share < HOLDS]
    return Faithfulness(
        own=Share(*accuracy(list(own.values()))),
        contrasts=tuple(contrast(kind, own, rows) for kind, rows in others.items()),
        looks=looks_of([row.trace for row in own.values()]),
        by_looks=accuracy_by_looks(own),
        shown=sum(known.values()) / len(known) if known else None,
        with_evidence=Share(*accuracy(held)) if known else None,
        without_evidence=Share(*accuracy(missed)) if known else None,
    )


def contrast(kind: Crops, own: Rows, other: Rows) -> CropContrast:
    """One kind of crops beside the own ones, over the answers that both have."""
    both = {key for key in own.keys() & other.keys() if own[key].right is not None and other[key].right is not None}
    looked = {key for key in both if own[key].trace.crops}
    losses = _losses(own, other, both)
    there = _losses(own, other, looked)
    changed = sum(_answer(own[key]) != _answer(other[key]) for key in looked)
    return CropContrast(
        kind,
        Share(*accuracy([other[key] for key in both])),
        sum(losses) / len(losses) if losses else None,
        bootstrap_mean(losses) if losses else None,
        Share(changed, len(looked)),
        sum(there) / len(there) if there else None,
    )


def _losses(own: Rows, other: Rows, keys: set[tuple[int, int]]) -> list[float]:
    """Per sample: accuracy with own crops minus accuracy with the others."""
    mine = by_sample({key: own[key] for key in keys})
    theirs = by_sample({key: other[key] for key in keys})
    return [mine[sample] - theirs[sample] for sample in sorted(mine)]


def _number(told: Any) -> float | None:
    return None if told is None else float(told)


def _answer(row: GradedRow) -> str:
    return (row.said or row.trace.answer).strip().casefold()
