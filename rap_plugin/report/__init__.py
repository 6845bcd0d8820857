"""What a run leaves for people: the report and the dataset card."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from rap_plugin.errors import RapError
from rap_plugin.run_dir import files

if TYPE_CHECKING:
    from rap_plugin.evidence.store import EvidenceStore
    from rap_plugin.samples.pool import Pool
    from rap_plugin.selectors.base import Selection

__all__ = ["mark_stale", "shown_digest", "write_card", "write_report"]

MAIN = '<main id="main" tabindex="-1">'
STALE = (
    '<p class="note" role="note">This report is stale: the run has been decided again since. '
    "<code>rap report</code> writes it anew.</p>"
)


def write_report(
    run: Path,
    selection: Selection,
    pool: Pool,
    store: EvidenceStore,
    samples: int | None = None,
    looking: str = "",
    *,
    every_picture: bool = False,
) -> None:
    """Writes `report.html`, self-contained (`samples` of the pool are shown; default 160), and the dataset card `README.md`.

    `looking` is a part of the page as ready HTML: what looking is worth, where that was measured. With `every_picture`
    the shown samples have all their pictures, however large the page becomes.

    Raises RapError where the folder cannot be written.
    """
    from rap_plugin.report.gallery import SAMPLES
    from rap_plugin.report.page import render_page

    shown = SAMPLES if samples is None else samples
    _write(run / files.REPORT, render_page(run, selection, pool, store, shown, looking, every_picture=every_picture))
    write_card(run, selection, pool)


def write_card(run: Path, selection: Selection, pool: Pool) -> None:
    """Writes the dataset card alone, which takes no time."""
    from rap_plugin.report.card import render_card

    _write(run / files.CARD, render_card(run, selection, pool))


def mark_stale(run: Path) -> None:
    """Says at the top of a report that it shows an earlier decision; without a report there is nothing to do."""
    path = run / files.REPORT
    if path.exists() and STALE not in (text := path.read_text(encoding="utf-8", errors="replace")):
        _write(path, text.replace(MAIN, f"{MAIN}\n{STALE}", 1))


def shown_digest(path: Path) -> str | None:
    """The `Selection.digest` that a report or card was written for; None for a text that names none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            found = re.search(r"rap-selection(?:\" content=\"|: )([0-9a-f]{16})", file.read(20_000))
    except OSError as error:
        raise RapError(
            f"{path}: cannot be read ({error.strerror}); remove it and run `rap report {path.parent}`"
        ) from None
    return found[1] if found else None


def _write(path: Path, text: str) -> None:
    with files.replacing(path) as draft:
        # Questions may hold lone surrogates, which no file can.
        draft.write_bytes(text.encode("utf-8", "replace"))
