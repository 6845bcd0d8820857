"""What a person sees at the end of a selection: lines of at most 80 columns, cut between words; and the same for machines."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Callable
from typing import Any

from rich.console import Console

from rap_plugin.errors import EmptySelection
from rap_plugin.pipeline.select import RunResult
from rap_plugin.report.responses import cut_by_verdict
from rap_plugin.report.words import verdict_word
from rap_plugin.selectors.base import CHOSEN, Selection

COLUMNS = 80


def print_summary(result: RunResult) -> None:
    """Verdicts, notes, cost and where everything is."""
    print_verdicts(result.selection)
    _say(f"{result.sampled:,} rollouts sampled now, {result.seconds:.1f} s in all; files in {result.run}", whole=True)


def print_verdicts(selection: Selection) -> None:
    """The table of verdicts, the notes, and how many were selected."""
    console = Console(highlight=False)
    decision, total = selection.decision, len(selection.table)
    rows = [
        (word, number, f"{number / max(total, 1):.1%}", verdict_word(word, selection.config.selection.selector).short)
        for word, number in decision.counts().items()
    ]
    quarantine = sorted(Counter(item.status for item in selection.quarantine).items())
    rows += [(status, number, "", "in quarantine.parquet, with the reason") for status, number in quarantine]
    wide = max([16, *(len(word) for word, *_ in rows)])
    console.print(f"{'verdict':<{wide}}  {'samples':>9}  {'share':>6}  meaning", soft_wrap=True)
    for word, number, share, meaning in rows:
        style = "bold green" if word in CHOSEN else "yellow" if not share else ""
        line = f"{word:<{wide}}  {number:>9,}  {share:>6}  {meaning}"
        console.print(line.rstrip(), style=style, markup=False, soft_wrap=True)
    if line := _cut_off(selection):
        _say(line)
    for note in decision.notes:
        _say(f"note: {note}", style="yellow")
    chosen = int(decision.chosen.sum())
    thresholds = ", ".join(f"{name} {value:.3g}" for name, value in decision.thresholds.items())
    share = f"{chosen:,} of {total:,} samples selected ({chosen / max(total, 1):.1%})"
    _say(f"{share}{'; ' + thresholds if thresholds else ''}", style="bold")


def tell(make: Callable[[], RunResult], *, as_json: bool = False) -> RunResult:
    """Makes a selection and says what came of it, as a table or as one JSON object on standard output.

    Of an empty selection, too: there the counts are needed most. Its error is raised afterwards.
    """
    try:
        result = make()
    except EmptySelection as error:
        if isinstance(error.selection, Selection):
            if as_json:
                print(json.dumps(selection_json(error.selection), ensure_ascii=False))
            else:
                print_verdicts(error.selection)
        raise
    if as_json:
        more = {"run": str(result.run), "rollouts_sampled_now": result.sampled, "seconds": round(result.seconds, 3)}
        print(json.dumps(selection_json(result.selection) | more, ensure_ascii=False))
    else:
        print_summary(result)
    return result


def selection_json(selection: Selection) -> dict[str, Any]:
    """The counts of a selection for a program."""
    decision = selection.decision
    return {
        "selected": int(decision.chosen.sum()),
        "usable": len(selection.table),
        "verdicts": decision.counts(),
        "quarantine": dict(sorted(Counter(item.status for item in selection.quarantine).items())),
        "thresholds": decision.thresholds,
        "notes": decision.notes,
    }


def _cut_off(selection: Selection) -> str:
    parts = [
        f"{word} {cut.image or 0:.1%} / {cut.blind or 0:.1%}" for word, cut in cut_by_verdict(selection).items() if cut
    ]
    return f"cut off at the token limit, with the image / without: {', '.join(parts)}" if parts else ""


def _say(text: str, style: str = "", *, whole: bool = False) -> None:
    """One paragraph: on a terminal cut between words, in a pipe one line."""
    console = Console(highlight=False)
    if console.is_terminal and not whole:
        text = "\n".join(textwrap.wrap(text, min(COLUMNS, console.width), break_on_hyphens=False))
    console.print(text, style=style, markup=False, soft_wrap=True)
