"""RAP as the paper has it: causal discrepancy, attention confidence, difficulty-aware replacement."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rap_plugin.config import RunConfig, SelectionConfig
from rap_plugin.evidence.table import EvidenceTable, Numbers
from rap_plugin.selectors.base import Decision, Mask, Scores, blank_verdicts, budget, judged, mostly_cut, place
from rap_plugin.selectors.released import select_released

DEGENERATE_SHARE = 0.5
"""ACE that flags more than this share of the measured samples says more about its threshold than about them."""

Indices = NDArray[np.int64]


def select_rap(table: EvidenceTable, scores: Scores, config: RunConfig) -> Decision:
    """RAP (arXiv 2506.04755) under the configured preset."""
    if config.selection.preset == "released":
        return select_released(table, scores, config)
    return select_paper(table, scores, config)


@dataclass(frozen=True)
class _Evidence:
    """What the tests look at, (N,) each."""

    ids: NDArray[np.object_]
    judged: Mask
    """Has an image and enough graded rollouts in both arms."""
    discrepancy: Numbers
    difficulty: Numbers
    biased: Mask
    """psi is above lambda_a."""
    unmeasured: Mask
    """psi is not known."""
    inattentive: Mask
    """Does not pass ACE: biased, or unmeasured where that is to be discarded."""

    def in_drm_order(self, mask: Mask) -> Indices:
        """Indices where the mask holds: the hardest first, then the higher D, then the id."""
        return place(mask, -self.difficulty, -self.discrepancy, self.ids)


@dataclass(frozen=True)
class _Parts:
    """The masks that one lambda_c gives, (N,) each."""

    cde: Mask
    core: Mask
    easy: Mask
    candidates: Mask
    hard: Indices
    """The replacements, in DRM's order."""


@dataclass(frozen=True)
class _Choice:
    """What is chosen, and under which lambda_c."""

    lambda_c: float
    parts: _Parts
    core: Mask
    hard: Mask
    surplus: Indices
    """Samples that qualify at this lambda_c, but are over the budget."""

    @property
    def size(self) -> int:
        return int(self.core.sum() + self.hard.sum())


def select_paper(table: EvidenceTable, scores: Scores, config: RunConfig, *, explained: bool = True) -> Decision:
    """Keeps D > lambda_c with psi <= lambda_a, then swaps the easy samples for the hardest candidates.

    Core = CDE and ACE passed and solved at least once. Easy = core with difficulty 0: removed. Candidates =
    not core, ACE passed (unless `hard_requires_confidence` is off), difficulty strictly between 0 and 1; the k
    hardest replace the k easy ones (ties: higher D, then id). A sample whose psi was not measured passes ACE, which the
    notes count, or is discarded (`unmeasured`). A budget thins or widens this, see `_choose`. Without `explained` the
    reasons are empty, which saves more than half of the time.
    """
    options = config.selection
    log_lambda_a = _log_threshold(options, scores["log_psi"])
    evidence = _read(table, scores, config, log_lambda_a)
    wanted = budget(options.keep, table)
    choice = _choose(evidence, options, wanted)
    parts = choice.parts

    verdicts, reasons = blank_verdicts(table, evidence.judged)
    unsolved = evidence.judged & (evidence.difficulty == 1)
    # Each line overwrites the ones before it, so the order goes from the weakest reason to the strongest.
    verdicts[evidence.judged & ~parts.cde] = "language_prior"
    verdicts[parts.cde & evidence.inattentive] = "unmeasured"
    verdicts[parts.cde & evidence.biased] = "attention_biased"
    verdicts[unsolved] = "unsolved"
    verdicts[unsolved & mostly_cut(table)] = "cut_off"
    verdicts[parts.easy] = "easy"
    verdicts[choice.core] = "selected"
    verdicts[choice.hard] = "hard_replacement"
    verdicts[choice.surplus] = "not_chosen"
    if explained:
        _explain(reasons, verdicts, scores, choice, math.exp(log_lambda_a))

    thresholds = {"lambda_c": choice.lambda_c, "lambda_a": math.exp(log_lambda_a)}
    notes = [*_ace_notes(options, evidence), *_choice_notes(options, choice, wanted)]
    return Decision(verdicts, reasons, thresholds, notes)


def _log_threshold(options: SelectionConfig, log_psi: Numbers) -> float:
    if options.lambda_a != "auto":
        return math.log(options.lambda_a) if options.lambda_a > 0 else -math.inf
    measured = log_psi[~np.isnan(log_psi)]
    return float(np.quantile(measured, options.psi_quantile)) if len(measured) else math.inf


def _read(table: EvidenceTable, scores: Scores, config: RunConfig, log_lambda_a: float) -> _Evidence:
    options = config.selection
    enough = judged(table, config)
    biased = enough & options.ace & (scores["log_psi"] > log_lambda_a)
    unmeasured = enough & options.ace & np.isnan(scores["log_psi"])
    inattentive = biased | unmeasured if options.unmeasured == "discard" else biased
    return _Evidence(table.ids, enough, scores["discrepancy"], scores["difficulty"], biased, unmeasured, inattentive)


def _apply(evidence: _Evidence, options: SelectionConfig, lambda_c: float) -> _Parts:
    solved = evidence.judged & (evidence.difficulty < 1)
    cde = evidence.judged & (evidence.discrepancy > lambda_c) if options.cde else evidence.judged
    core = cde & solved & ~evidence.inattentive
    candidates = solved & ~core & (evidence.difficulty > 0)
    if options.hard_requires_confidence:
        candidates &= ~evidence.inattentive
    if options.hard_requires_discrepancy:
        candidates &= evidence.discrepancy > 0
    easy = core & (evidence.difficulty == 0) if options.drm else np.zeros(len(core), bool)
    hard = evidence.in_drm_order(candidates)[: int(easy.sum())]
    return _Parts(cde, core, easy, candidates, hard)


def _choose(evidence: _Evidence, options: SelectionConfig, wanted: int | None) -> _Choice:
    """The selection at lambda_c, thinned or widened to `wanted` samples.

    All samples stand in one order that no budget changes; a budget takes its beginning. First those of the selection at
    lambda_c, without the easy ones: core and replacements, each in DRM's order, merged so that every beginning has
    their proportion. Behind them, for every lower lambda_c that changes something, those that it adds, in the same way.
    """
    core, hard = np.zeros((2, len(evidence.ids)), bool)
    for lambda_c in _steps(evidence, options, widen=wanted is not None):
        parts = _apply(evidence, options, lambda_c)
        inside = core | hard
        of_core = evidence.in_drm_order(parts.core & ~parts.easy & ~inside)
        replacing = parts.hard[~inside[parts.hard]]
        entering, replaces = _merge(of_core, replacing)
        room = len(entering) if wanted is None else wanted - int(inside.sum())
        core[entering[:room][~replaces[:room]]] = True
        hard[entering[:room][replaces[:room]]] = True
        if room <= len(entering):
            break
    return _Choice(lambda_c, parts, core, hard, entering[room:])


def _steps(evidence: _Evidence, options: SelectionConfig, *, widen: bool) -> Iterator[float]:
    """lambda_c, then the pool's own values of D below it, where the selection changes.

    Values below 0 are not tried: there the image harms more than it helps, and a budget is no reason to train on that.
    """
    yield options.lambda_c
    if widen and options.cde and options.lambda_c > 0:
        values = evidence.discrepancy[evidence.judged]
        lower = values[(values >= 0) & (values < options.lambda_c)]
        yield from np.unique(np.append(lower, 0.0))[::-1].tolist()


def _merge(one: Indices, other: Indices) -> tuple[Indices, Mask]:
    """Both in one order, each evenly spread over it; and where the members of `other` stand.

    The i-th of n stands at (i + 1/2) / n, so that k members of the whole hold k n / (n + m) of `one`, give or take one.
    """
    n, m = len(one), len(other)
    # The positions over one denominator, as exact integers.
    at = np.concatenate(((2 * np.arange(n) + 1) * max(m, 1), (2 * np.arange(m) + 1) * max(n, 1)))
    order = np.argsort(at, kind="stable")
    return np.concatenate((one, other))[order], order >= n


def _explain(reasons: list[str], verdicts: np.ndarray, scores: Scores, choice: _Choice, lambda_a: float) -> None:
    image, blind = scores["acc_image"].tolist(), scores["acc_blind"].tolist()
    gain, hard, log_psi = scores["discrepancy"].tolist(), scores["difficulty"].tolist(), scores["log_psi"].tolist()
    candidates = choice.parts.candidates.tolist()
    for i, verdict in enumerate(verdicts.tolist()):
        if verdict in ("text_only", "too_few_graded"):
            continue
        seen = f"right {image[i]:.0%} with the image, {blind[i]:.0%} without"
        if verdict == "selected":
            reasons[i] = f"{seen}: discrepancy {gain[i]:.2f} > {choice.lambda_c:g}"
        elif verdict == "hard_replacement":
            reasons[i] = f"among the hardest solvable ({hard[i]:.0%} wrong), in place of an easy one"
        elif verdict == "easy":
            reasons[i] = "every rollout with the image is right: nothing to learn"
        elif verdict == "unsolved":
            reasons[i] = "no rollout with the image is right: no reward to learn from"
        elif verdict == "cut_off":
            reasons[i] = "no rollout with the image is right, and most of them were cut off at the token limit"
        elif verdict == "attention_biased":
            reasons[i] = f"psi {math.exp(min(log_psi[i], 700)):.3g} > {lambda_a:.3g}: one token holds the attention"
        elif verdict == "unmeasured":
            reasons[i] = "psi was not measured, and selection.unmeasured=discard"
        elif verdict == "language_prior":
            also = "; hard, but not among the hardest" if candidates[i] else ""
            reasons[i] = f"{seen}: discrepancy {gain[i]:.2f} <= {choice.lambda_c:g}{also}"
        else:
            reasons[i] = f"{seen}: qualifies, but over the budget"


def _ace_notes(options: SelectionConfig, evidence: _Evidence) -> list[str]:
    if not options.ace:
        return []
    notes = []
    measured = evidence.judged & ~evidence.unmeasured
    if measured.any():
        share = evidence.biased[measured].mean()
        if share == 0:
            notes.append("ACE is inert: it flags no sample at this lambda_a (try lambda_a=auto, or another window)")
        elif share > DEGENERATE_SHARE:
            notes.append(f"ACE is degenerate: it flags {share:.0%} of the measured samples (try lambda_a=auto)")
    if missing := int(evidence.unmeasured.sum()):
        fate = "they are discarded" if options.unmeasured == "discard" else "ACE does not judge them, they pass it"
        notes.append(
            f"attention was not measured for {missing} of {int(evidence.judged.sum())} samples: {fate} "
            "(selection.unmeasured)"
        )
    return notes


def _choice_notes(options: SelectionConfig, choice: _Choice, wanted: int | None) -> list[str]:
    notes = []
    parts = choice.parts
    if options.drm and len(parts.hard) < parts.easy.sum():
        notes.append(
            f"DRM removed {int(parts.easy.sum())} easy samples but found only {len(parts.hard)} hard ones to replace them"
        )
    if wanted is not None and choice.lambda_c < options.lambda_c:
        notes.append(f"the budget of {wanted} samples lowers lambda_c from {options.lambda_c:g} to {choice.lambda_c:g}")
    if wanted is not None and choice.size < wanted:
        notes.append(f"the budget is {wanted} samples, but only {choice.size} qualify at any lambda_c of 0 or above")
    if len(choice.surplus):
        notes.append(f"{len(choice.surplus)} samples qualify but are over the budget of {wanted}")
    if choice.hard.any() and not choice.core.any():
        notes.append(
            f"no selected sample passes CDE: all {choice.size} are hard replacements of easy ones; lower lambda_c"
        )
    return notes
