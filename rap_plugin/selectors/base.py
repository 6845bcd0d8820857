"""What a selector returns, and the words for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rap_plugin.config import RunConfig
from rap_plugin.evidence.table import EvidenceTable, Numbers
from rap_plugin.rollout import ARMS, Arm
from rap_plugin.samples.sample import Quarantined

VERDICTS = (
    "selected",
    "hard_replacement",
    "filled_up",
    "language_prior",
    "attention_biased",
    "unmeasured",
    "easy",
    "unsolved",
    "cut_off",
    "too_few_graded",
    "text_only",
    "not_chosen",
)
"""Why a scored sample is in (the first three) or out."""

CHOSEN = ("selected", "hard_replacement", "filled_up")

Scores = Mapping[str, Numbers]
Mask = NDArray[np.bool_]
Words = NDArray[np.str_]


@dataclass
class Decision:
    """A selector's answer: a verdict and a reason for each of the N samples of the table."""

    verdicts: Words
    reasons: list[str]
    thresholds: dict[str, float] = field(default_factory=dict)
    """The thresholds in force, also those that were found rather than given."""
    notes: list[str] = field(default_factory=list)
    """What a user should know: an inert test, a budget that was not reached, unmeasured samples."""
    order: Numbers | None = None
    """(N,) the selector's ranking of all samples, lowest first, for filling up and cutting; None: it has none."""

    @property
    def chosen(self) -> Mask:
        """(N,) True where the sample is in the selection."""
        return np.isin(self.verdicts, CHOSEN)

    def counts(self) -> dict[str, int]:
        """Samples per verdict, in the order of VERDICTS, zero ones left out."""
        words, numbers = np.unique(self.verdicts, return_counts=True)
        found = dict(zip(words.tolist(), numbers.tolist(), strict=True))
        return {word: found[word] for word in (*VERDICTS, *sorted(set(found) - set(VERDICTS))) if word in found}


Selector = Callable[[EvidenceTable, Scores, RunConfig], Decision]


@dataclass(frozen=True)
class Selection:
    """The verdicts of a whole pool under one configuration, with what they were computed from."""

    config: RunConfig
    table: EvidenceTable
    scores: Scores
    decision: Decision
    quarantine: list[Quarantined]

    def __repr__(self) -> str:
        chosen = int(self.decision.chosen.sum())
        return f"<Selection: {chosen:,} of {len(self.table):,} samples, {len(self.quarantine):,} in quarantine>"

    def digest(self) -> str:
        """Names what was decided, and under which options: the report and the card carry it, so that they can be told
        from those of another decision. 16 hexadecimal digits.
        """
        options = self.config.model_dump(mode="json", include={"grading", "ace", "selection"})
        decided = [options, self.decision.thresholds, self.decision.verdicts.tolist(), self.table.ids.tolist()]
        return hashlib.blake2b(json.dumps(decided, sort_keys=True).encode(), digest_size=8).hexdigest()


def judged(table: EvidenceTable, config: RunConfig, arms: Sequence[Arm] = ARMS) -> Mask:
    """(N,) True where a sample has an image and enough graded rollouts in each of these arms to be judged on them."""
    least = config.least_graded
    return np.logical_and.reduce([table.images > 0, *(table.arms[arm].graded >= least for arm in arms)])


def mostly_cut(table: EvidenceTable) -> Mask:
    """(N,) True where more than half of the responses with the image ended at the token limit."""
    image = table.arms["image"]
    return 2 * image.cut > image.answered


def blank_verdicts(table: EvidenceTable, judged: Mask | None = None) -> tuple[Words, list[str]]:
    """Verdicts and reasons to start from: text-only samples are marked, those that are not `judged`, all others not
    chosen.
    """
    verdicts = np.full(len(table), "not_chosen", dtype="U16")
    reasons = [""] * len(table)
    for i in np.flatnonzero(table.images == 0):
        verdicts[i], reasons[i] = "text_only", "no image, so no discrepancy is possible"
    if judged is not None:
        image, blind = table.arms["image"], table.arms["blind"]
        for i in np.flatnonzero((table.images > 0) & ~judged):
            verdicts[i] = "too_few_graded"
            reasons[i] = (
                f"{image.graded[i]} graded rollouts with the image and {blind.graded[i]} without, of {table.rollouts} each: "
                "too few to judge"
            )
    return verdicts, reasons


def budget(keep: float | None, table: EvidenceTable, default: float | None = None) -> int | None:
    """How many samples a share of the pool is: rounded to the nearest, at least one; None without a share."""
    share = keep if keep is not None else default
    return None if share is None else max(1, int(share * len(table) + 0.5))


def draw(seed: int, ids: NDArray[np.object_]) -> Numbers:
    """A number in [0, 1) per sample that depends on the seed and the id only, never on row order."""
    salt = seed.to_bytes(8, "little")
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8, salt=salt).digest() for text in ids)
    return (np.frombuffer(digests, dtype="<u8") >> np.uint64(11)) / float(1 << 53)


def place(mask: Mask, *keys: Numbers | NDArray[np.object_]) -> NDArray[np.int64]:
    """Indices where `mask` holds, sorted ascending by `keys` (the first key first)."""
    indices = np.flatnonzero(mask)
    return indices[np.lexsort([key[indices] for key in reversed(keys)])]
