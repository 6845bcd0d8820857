"""What a run leaves for people: the report and the dataset card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rap_plugin.evidence.store import EvidenceStore
    from rap_plugin.samples.pool import Pool
    from rap_plugin.selectors.base import Selection

__all__ = ["write_report"]


def write_report(run: Path, selection: Selection, pool: Pool, store: EvidenceStore) -> None:
    """Writes `report.html`, self-contained and without scripts, and the dataset card `README.md`.

    Raises RapError where the folder cannot be written.
    """
    from rap_plugin.report.card import render_card
    from rap_plugin.report.page import render_page
    from rap_plugin.run_dir import files

    for name, text in (
        (files.REPORT, render_page(run, selection, pool, store)),
        (files.CARD, render_card(run, selection, pool)),
    ):
        with files.replacing(run / name) as draft:
            # Questions may hold lone surrogates, which no file can.
            draft.write_bytes(text.encode("utf-8", "replace"))
