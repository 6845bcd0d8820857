"""What became of the responses, whatever they said: how many were cut off, and whether any has the form that is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from rap_plugin.config import RunConfig
from rap_plugin.evidence.table import EvidenceTable
from rap_plugin.rollout import ARMS, Arm
from rap_plugin.selectors.base import Mask, Selection

CUT_WARNING = 0.05
"""From this share of cut responses on, verdicts say something of the token limit."""


@dataclass(frozen=True)
class CutShares:
    """Shares of the responses that ended at the token limit, in [0, 1]; None where an arm has no response."""

    image: float | None
    blind: float | None

    def __bool__(self) -> bool:
        return bool(self.image or self.blind)


def cut_shares(table: EvidenceTable, among: Mask | None = None) -> CutShares:
    """Over the samples of the mask, or over all."""
    return CutShares(*(_share(table, arm, among) for arm in ARMS))


def cut_by_verdict(selection: Selection) -> dict[str, CutShares]:
    """The same for each verdict."""
    verdicts = selection.decision.verdicts
    return {word: cut_shares(selection.table, verdicts == word) for word in selection.decision.counts()}


def _share(table: EvidenceTable, arm: Arm, among: Mask | None) -> float | None:
    counts = table.arms[arm]
    rows = slice(None) if among is None else among
    answered = int(counts.answered[rows].sum())
    return int(counts.cut[rows].sum()) / answered if answered else None


def response_notes(table: EvidenceTable, config: RunConfig) -> list[str]:
    """What a user should know of the responses before trusting a verdict."""
    notes = []
    shares = cut_shares(table)
    if max(shares.image or 0.0, shares.blind or 0.0) > CUT_WARNING:
        notes.append(
            f"{shares.image or 0:.0%} of the responses with the image and {shares.blind or 0:.0%} of those without were cut "
            f"off at sampling.max_new_tokens={config.sampling.max_new_tokens}; raise it"
        )
    if lacks_form(table, config):
        notes.append(f"no response is <think>..</think> .. \\boxed{{..}}: {_consequence(config)}")
    return notes


def lacks_form(table: EvidenceTable, config: RunConfig) -> bool:
    """Whether none of the responses has the form that the prompt asks for or the reward counts."""
    expected = config.format_weight > 0 or "\\boxed" in (config.prompt.instruction or "")
    graded = sum(int(table.arms[arm].graded.sum()) for arm in ARMS)
    return expected and graded > 0 and not any(table.arms[arm].well_formatted.any() for arm in ARMS)


def _consequence(config: RunConfig) -> str:
    if config.format_weight == 0:
        return "the model does not follow prompt.instruction, or was trained on a prompt of its own"
    return (
        f"with grading.format_weight {config.format_weight:g} no reward is exactly 1; give a prompt.instruction that the "
        "model follows, or grading.format_weight=0"
    )
