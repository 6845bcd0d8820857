"""A run in a notebook: the flow, the verdicts and three samples, as HTML that changes nothing outside itself."""

from __future__ import annotations

import base64
from html import escape

import numpy as np

from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.plugins import get_plugins
from rap_plugin.report.examples import Example, find_examples
from rap_plugin.report.page import flow_picture, percent
from rap_plugin.report.words import verdict_word
from rap_plugin.samples.pool import Pool
from rap_plugin.selectors.base import CHOSEN, Selection

SAMPLES = 3


def render(name: str, selection: Selection, pool: Pool | None, store: EvidenceStore) -> str:
    """The flow as a picture of its own, so that its style sheet stays inside; samples where the pool is there."""
    chosen, total = int(selection.decision.chosen.sum()), len(selection.table)
    picture = base64.b64encode(flow_picture(selection).encode()).decode()
    rows = "".join(
        f"<tr><td>{'<b>' if word in CHOSEN else ''}{escape(verdict_word(word, selection.config.selection.selector).title)}"
        f"{'</b>' if word in CHOSEN else ''}</td><td>{count:,}</td><td>{escape(percent(count / max(total, 1)))}</td></tr>"
        for word, count in selection.decision.counts().items()
    )
    return (
        f"<div><p><b>{escape(name)}</b>: {chosen:,} of {total:,} samples selected "
        f"({escape(percent(chosen / max(total, 1)))})</p>"
        f'<img alt="flow from pool to selection" style="max-width:900px;width:100%" '
        f'src="data:image/svg+xml;base64,{picture}">'
        f"<table><thead><tr><th>verdict</th><th>samples</th><th>share</th></tr></thead><tbody>{rows}</tbody></table>"
        f"{_samples(selection, pool, store)}</div>"
    )


def _samples(selection: Selection, pool: Pool | None, store: EvidenceStore) -> str:
    order = np.argsort(selection.table.ids, kind="stable")
    chosen = order[selection.decision.chosen[order]][:SAMPLES].tolist()
    if pool is None or not chosen:
        return ""
    formats = get_plugins().registry().things["formats"]
    shown = "".join(_sample(example) for example in find_examples(store, selection, pool, formats, chosen))
    return f'<div style="display:flex;gap:16px;flex-wrap:wrap">{shown}</div>'


def _sample(example: Example) -> str:
    images = "".join(f'<img src="{image.url}" alt="" style="max-height:110px">' for image in example.thumbnails)
    arms = ", ".join(
        f"{'with' if arm.arm == 'image' else 'without'} the image {arm.right} of {len(arm.rollouts)} right"
        for arm in example.arms
    )
    return (
        f'<div style="max-width:260px">{images}<div>{escape(example.question)}</div>'
        f"<small>gold {escape(example.gold)}; {arms}; <code>{escape(example.id[:12])}</code></small></div>"
    )
