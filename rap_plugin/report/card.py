"""The dataset card: what the selection is, for whoever finds it without the run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from rap_plugin.plugins import get_plugins
from rap_plugin.report.page import about_run, environment, percent, sampled_facts, verdict_rows
from rap_plugin.report.places import holds_images, without_folders
from rap_plugin.samples.pool import Pool
from rap_plugin.selectors.base import Selection

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""The hub's size categories."""

BLIND_WORDS = {
    "drop": "without them",
    "blank": "with blank ones in their place",
    "noise": "with noise in their place",
    "shuffle": "with those of another problem",
}


def render_card(run: Path, selection: Selection, pool: Pool) -> str:
    """`README.md`: the hub's metadata, how the rows were chosen, what their columns are, how to load them."""
    chosen = int(selection.decision.chosen.sum())
    total = len(selection.table) + len(selection.quarantine)
    cards = environment().overlay(autoescape=False)
    cards.filters["plain"] = plain
    cards.filters["quoted"] = lambda value: json.dumps(str(value), ensure_ascii=False)
    text: str = cards.get_template("card.md.j2").render(
        about=without_folders(about_run(run)),
        digest=selection.digest(),
        blind_words=BLIND_WORDS,
        grader=without_folders(selection.config.grading.grader),
        **sampled_facts(selection),
        config=selection.config,
        chosen=chosen,
        total=total,
        share=percent(chosen / max(total, 1)),
        size=next((name for limit, name in SIZES if chosen < limit), "1M<n<10M"),
        verdicts=verdict_rows(selection),
        quarantined=len(selection.quarantine),
        thresholds=selection.decision.thresholds,
        notes=selection.decision.notes,
        scores=list(selection.scores),
        pool_name=without_folders(pool.path),
        images_inside=holds_images(pool, selection.config.pool, get_plugins().registry().things["formats"]),
        columns=[name for name in pool.columns if not name.startswith("rap_")],
    )
    return text


def plain(value: Any) -> str:
    """Text from outside for Markdown: one line, no markup."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(str(value).split()))[:300]
