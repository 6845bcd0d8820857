"""A selection of a size that its training can run on: filled up with the next best samples, or cut."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rap_plugin.config import SelectionConfig
from rap_plugin.errors import NoFittingSize, Option
from rap_plugin.evidence.table import EvidenceTable
from rap_plugin.selectors.base import Decision, Mask, Scores, place


@dataclass(frozen=True)
class RowCounts:
    """The numbers of rows that a training can run on: multiples of `multiple`, from `minimum` on."""

    multiple: int = 1
    minimum: int = 0

    def fits(self, rows: int) -> bool:
        """Whether a training on so many rows makes steps and ends."""
        return rows >= max(self.minimum, 1) and rows % self.multiple == 0

    def above(self, rows: int) -> int:
        """The smallest number that fits, of at least `rows`."""
        return -(-max(rows, self.minimum, 1) // self.multiple) * self.multiple

    def below(self, rows: int) -> int:
        """The largest number that fits, of at most `rows`; 0 where there is none."""
        most = rows // self.multiple * self.multiple
        return most if self.fits(most) else 0

    def examples(self) -> str:
        """The three smallest numbers that fit."""
        first = self.above(1)
        return ", ".join(str(first + i * self.multiple) for i in range(3))

    def __str__(self) -> str:
        words = []
        if self.multiple > 1:
            words.append(f"a multiple of {self.multiple}")
        if self.minimum > 1:
            words.append(f"at least {self.minimum}")
        return " and ".join(words) or "any number"


def row_counts(options: SelectionConfig) -> RowCounts:
    """The numbers of rows that the configuration asks for."""
    return RowCounts(options.size_multiple, options.size_minimum)


def changes_size(options: SelectionConfig) -> bool:
    """Whether a selection is filled up or cut: each sample's verdict then depends on all others."""
    return options.size_by != "repeat" and row_counts(options) != RowCounts()


def bring_to_size(decision: Decision, table: EvidenceTable, scores: Scores, options: SelectionConfig) -> None:
    """Fills a selection up, or cuts it, to a number of rows that fits; says which samples and why in their verdicts.

    The next best are the next in the selector's own order; where it has none, samples whose rollouts differ come first,
    then those that were over the budget only, then those that ACE passes, then the higher D, the harder, the id. An empty selection stays empty, and `repeat`
    leaves the selection as it is: hosts then repeat rows. Raises NoFittingSize where no number fits.
    """
    counts, rows = row_counts(options), int(decision.chosen.sum())
    if not rows or counts.fits(rows) or not changes_size(options):
        return
    judged = ~np.isin(decision.verdicts, ("text_only", "too_few_graded"))
    others = _best_first(~decision.chosen & judged, decision, table, scores)
    target = counts.above(rows) if options.size_by == "fill" else counts.below(rows)
    if target > rows + len(others):
        target = counts.below(rows + len(others))
    if not target:
        can = "can be trained on" if options.size_by == "fill" else "are selected"
        raise NoFittingSize(
            f"{rows + len(others) if options.size_by == 'fill' else rows} samples {can}, and the training needs "
            f"{counts} rows, as in {counts.examples()}; give a larger pool or smaller batches, or set ",
            Option("selection.size_by"),
            " to repeat",
        )
    if target > rows:
        _fill(decision, others[: target - rows], rows, counts)
    else:
        _cut(decision, _best_first(decision.chosen, decision, table, scores)[target:], rows, counts)


def _best_first(mask: Mask, decision: Decision, table: EvidenceTable, scores: Scores) -> NDArray[np.int64]:
    """Indices where `mask` holds, best first."""
    if decision.order is not None:
        return place(mask, np.nan_to_num(decision.order, nan=np.inf), table.ids)
    difficulty = scores["difficulty"]
    same = ~((difficulty > 0) & (difficulty < 1))
    failed = decision.verdicts != "not_chosen"
    biased = np.isin(decision.verdicts, ("attention_biased", "unmeasured"))
    gain = np.nan_to_num(-scores["discrepancy"], nan=np.inf)
    groups = (flags.astype(np.float64) for flags in (same, failed, biased))
    return place(mask, *groups, gain, np.nan_to_num(-difficulty), table.ids)


def _fill(decision: Decision, added: NDArray[np.int64], rows: int, counts: RowCounts) -> None:
    size = rows + len(added)
    before = Counter(decision.verdicts[added].tolist())
    for i in added:
        decision.reasons[i] = (
            f"fills {rows} rows up to {size}, {counts}; otherwise {decision.verdicts[i]}: {decision.reasons[i]}"
        )
    decision.verdicts[added] = "filled_up"
    kinds = ", ".join(f"{number} {word}" for word, number in before.most_common())
    decision.notes.append(
        f"the {rows} selected samples are filled up to {size}, {counts}, with the next best: otherwise {kinds}"
    )


def _cut(decision: Decision, dropped: NDArray[np.int64], rows: int, counts: RowCounts) -> None:
    size = rows - len(dropped)
    for i in dropped:
        decision.reasons[i] = f"cut from {rows} rows to {size}, {counts}; otherwise {decision.verdicts[i]}"
    decision.verdicts[dropped] = "not_chosen"
    decision.notes.append(
        f"the {rows} selected samples are cut to {size}, {counts}: the last {len(dropped)} are left out"
    )
