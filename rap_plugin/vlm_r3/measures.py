"""How a run looked: crops per answer, share of valid boxes, accuracy against the number of looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rap_plugin.evaluation.stats import wilson
from rap_plugin.vlm_r3.rows import GradedRow, accuracy
from rap_plugin.vlm_r3.trace import Trace

MANY = 4
"""Numbers of looks from here on are counted together."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval (Wilson)."""

    count: int
    total: int

    @property
    def value(self) -> float | None:
        return self.count / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return wilson(self.count, self.total) if self.total else None

    def as_dict(self) -> dict[str, Any]:
        return {"share": self.value, "interval": self.interval, "count": self.count, "of": self.total}

    @staticmethod
    def from_dict(told: Mapping[str, Any]) -> Share:
        """What `as_dict` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        count, total = int(told["count"]), int(told["of"])
        if not 0 <= count <= total:
            raise ValueError(f"{count} of {total} is no share")
        return Share(count, total)


def share_text(share: Share) -> str:
    """As in "83.3 % (55.2 to 95.3) of 12"."""
    if share.value is None or share.interval is None:
        return "-"
    low, high = share.interval
    return f"{100 * share.value:.1f} % ({100 * low:.1f} to {100 * high:.1f}) of {share.total:,}"


def looks_of(traces: Sequence[Trace]) -> dict[str, Any]:
    """What a model asked for and was shown."""
    looks = [look for trace in traces for look in trace.looks]
    return {
        "answers": len(traces),
        "crops_per_answer": sum(trace.crops for trace in traces) / len(traces) if traces else None,
        "answers_that_look": Share(sum(bool(trace.looks) for trace in traces), len(traces)).as_dict(),
        "valid_boxes": Share(sum(look.valid for look in looks), len(looks)).as_dict(),
        "problems": dict(Counter(look.problem for look in looks if look.problem).most_common()),
        "ended": dict(Counter(trace.ended for trace in traces).most_common()),
        "tokens_per_answer": sum(trace.tokens for trace in traces) / len(traces) if traces else None,
    }


def accuracy_by_looks(rows: Mapping[Any, GradedRow]) -> dict[str, Share]:
    """Accuracy of the answers with 0, 1, 2, .. crops."""
    groups: dict[int, list[GradedRow]] = {}
    for row in rows.values():
        groups.setdefault(min(row.trace.crops, MANY), []).append(row)
    return {
        f"{count}{'+' if count == MANY else ''}": Share(*accuracy(group)) for count, group in sorted(groups.items())
    }
