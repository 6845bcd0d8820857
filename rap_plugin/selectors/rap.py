"""RAP as the paper has it: causal discrepancy, attention confidence, difficulty-aware replacement."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rap_plugin.config import RunConfig, SelectionConfig
from rap_plugin.evidence.table import EvidenceTable, Numbers
from rap_plugin.selectors.base import Decision, Mask, Scores, blank_verdicts, budget, place
from rap_plugin.selectors.released import select_released

DEGENERATE_SHARE = 0.5
"""ACE that flags more than this share of the measured samples says more about its threshold than about them."""


def select_rap(table: EvidenceTable, scores: Scores, config: RunConfig) -> Decision:
    """RAP (arXiv 2506.04755) under the configured preset."""
    if config.selection.preset == "released":
        return select_released(table, scores, config)
    return select_paper(table, scores, config)


@dataclass(frozen=True)
class _Parts:
    """The masks that one pair of thresholds gives, (N,) each."""

    cde: Mask
    core: Mask
    easy: Mask
    candidates: Mask
    hard: np.ndarray
    """Indices of the replacements, hardest first."""

    @property
    def size(self) -> int:
        return int(self.core.sum() - self.easy.sum() + len(self.hard))


def select_paper(table: EvidenceTable, scores: Scores, config: RunConfig) -> Decision:
    """Keeps D > lambda_c with psi <= lambda_a, then swaps the easy samples for the hardest candidates.

    Core = CDE and ACE passed and solved at least once. Easy = core with difficulty 0: removed. Candidates =
    not core, ACE passed (unless `hard_requires_confidence` is off), difficulty strictly between 0 and 1; the k
    hardest replace the k easy ones (ties: higher D, then id). A sample whose psi was not measured is not judged by
    ACE, which the notes count.
    With a budget, lambda_c is the strictest of the pool's own values that reaches it; samples over the
    budget leave in the order of lowest D, highest psi, id.
    """
    options = config.selection
    pictured = table.images > 0
    log_psi = scores["log_psi"]
    log_lambda_a = _log_threshold(options, log_psi)
    biased = log_psi > log_lambda_a if options.ace else np.zeros(len(table), bool)

    lambda_c = options.lambda_c
    wanted = budget(options.keep, table)
    if wanted is not None:
        lambda_c = _find_lambda_c(table, scores, options, biased, wanted)
    parts = _apply(table, scores, options, biased, lambda_c)
    surplus = _surplus(table, scores, parts, wanted)

    verdicts, reasons = blank_verdicts(table)
    chosen = parts.core & ~parts.easy
    unsolved = pictured & (scores["difficulty"] == 1)
    # Each line overwrites the ones before it, so the order goes from the weakest reason to the strongest.
    verdicts[pictured & ~parts.cde] = "language_prior"
    verdicts[pictured & biased & parts.cde] = "attention_biased"
    verdicts[unsolved] = "unsolved"
    verdicts[parts.easy] = "easy"
    verdicts[chosen] = "selected"
    verdicts[parts.hard] = "hard_replacement"
    verdicts[surplus] = "not_chosen"
    _explain(reasons, verdicts, scores, parts, lambda_c, math.exp(log_lambda_a))

    thresholds = {"lambda_c": lambda_c, "lambda_a": math.exp(log_lambda_a)}
    return Decision(verdicts, reasons, thresholds, _notes(options, pictured, log_psi, biased, parts, surplus, wanted))


def _log_threshold(options: SelectionConfig, log_psi: Numbers) -> float:
    if options.lambda_a != "auto":
        return math.log(options.lambda_a) if options.lambda_a > 0 else -math.inf
    measured = log_psi[~np.isnan(log_psi)]
    return float(np.quantile(measured, options.psi_quantile)) if len(measured) else math.inf


def _apply(table: EvidenceTable, scores: Scores, options: SelectionConfig, biased: Mask, lambda_c: float) -> _Parts:
    discrepancy, difficulty = scores["discrepancy"], scores["difficulty"]
    pictured = table.images > 0
    solved = pictured & (difficulty < 1)
    cde = pictured & (discrepancy > lambda_c) if options.cde else pictured
    core = cde & solved & ~biased
    candidates = solved & ~core & (difficulty > 0)
    if options.hard_requires_confidence:
        candidates &= ~biased
    if options.hard_requires_discrepancy:
        candidates &= discrepancy > 0
    easy = core & (difficulty == 0) if options.drm else np.zeros(len(table), bool)
    hard = place(candidates, -difficulty, -discrepancy, table.ids)[: int(easy.sum())]
    return _Parts(cde, core, easy, candidates, hard)


def _find_lambda_c(table: EvidenceTable, scores: Scores, options: SelectionConfig, biased: Mask, wanted: int) -> float:
    """The strictest threshold whose selection has at least `wanted` samples; the one with most where none has.

    Selection size changes only at the pool's own values of D. Values below 0 are not tried: there the image
    harms more than it helps, and a budget is no reason to train on that.
    """
    values = scores["discrepancy"]
    steps = np.unique(values[(values >= 0) & ~np.isnan(values)])[::-1]
    best, best_size = 0.0, -1
    for step in (*steps.tolist(), 0.0):
        size = _apply(table, scores, options, biased, step).size
        if size >= wanted:
            return float(step)
        if size > best_size:
            best, best_size = float(step), size
    return best


def _surplus(table: EvidenceTable, scores: Scores, parts: _Parts, wanted: int | None) -> np.ndarray:
    if wanted is None or parts.size <= wanted:
        return np.empty(0, dtype=np.int64)
    chosen = parts.core & ~parts.easy
    chosen[parts.hard] = True
    unmeasured_first = np.nan_to_num(-scores["log_psi"], nan=-np.inf, neginf=-1e300, posinf=1e300)
    leaving = place(chosen, scores["discrepancy"], unmeasured_first, table.ids)
    return leaving[: parts.size - wanted]


def _explain(
    reasons: list[str], verdicts: np.ndarray, scores: Scores, parts: _Parts, lambda_c: float, lambda_a: float
) -> None:
    image, blind = scores["acc_image"].tolist(), scores["acc_blind"].tolist()
    gain, hard, log_psi = scores["discrepancy"].tolist(), scores["difficulty"].tolist(), scores["log_psi"].tolist()
    candidates = parts.candidates.tolist()
    for i, verdict in enumerate(verdicts.tolist()):
        if verdict == "text_only":
            continue
        seen = f"right {image[i]:.0%} with the image, {blind[i]:.0%} without"
        if verdict == "selected":
            reasons[i] = f"{seen}: discrepancy {gain[i]:.2f} > {lambda_c:g}"
        elif verdict == "hard_replacement":
            reasons[i] = f"among the hardest solvable ({hard[i]:.0%} wrong), in place of an easy one"
        elif verdict == "easy":
            reasons[i] = "every rollout with the image is right: nothing to learn"
        elif verdict == "unsolved":
            reasons[i] = "no rollout with the image is right: no reward to learn from"
        elif verdict == "attention_biased":
            reasons[i] = f"psi {math.exp(min(log_psi[i], 700)):.3g} > {lambda_a:.3g}: one token holds the attention"
        elif verdict == "language_prior":
            also = "; hard, but not among the hardest" if candidates[i] else ""
            reasons[i] = f"{seen}: discrepancy {gain[i]:.2f} <= {lambda_c:g}{also}"
        else:
            reasons[i] = f"{seen}: qualifies, but over the budget"


def _notes(
    options: SelectionConfig,
    pictured: Mask,
    log_psi: Numbers,
    biased: Mask,
    parts: _Parts,
    surplus: np.ndarray,
    wanted: int | None,
) -> list[str]:
    notes = []
    measured = pictured & ~np.isnan(log_psi)
    if options.ace and measured.any():
        share = biased[measured].mean()
        if share == 0:
            notes.append("ACE is inert: it flags no sample at this lambda_a (try lambda_a=auto, or another window)")
        elif share > DEGENERATE_SHARE:
            notes.append(f"ACE is degenerate: it flags {share:.0%} of the measured samples (try lambda_a=auto)")
    if options.ace and (missing := int((pictured & ~measured).sum())):
        notes.append(
            f"attention was not measured for {missing} of {int(pictured.sum())} samples: ACE did not judge them"
        )
    if options.drm and len(parts.hard) < parts.easy.sum():
        notes.append(
            f"DRM removed {int(parts.easy.sum())} easy samples but found only {len(parts.hard)} hard ones to replace them"
        )
    if wanted is not None and parts.size < wanted:
        notes.append(f"the budget is {wanted} samples, but only {parts.size} qualify at any lambda_c of 0 or above")
    if len(surplus):
        notes.append(f"{len(surplus)} samples qualify but are over the budget of {wanted}")
    return notes
