"""Examples: a few samples of every verdict as a person would look at them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from rap_plugin.errors import RapError
from rap_plugin.evidence.records import RolloutRecord
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.rollout import ARMS, Arm
from rap_plugin.samples.images import open_image
from rap_plugin.samples.ingest import load_samples
from rap_plugin.samples.pool import Pool
from rap_plugin.samples.sample import IMAGE, ImageProblem, Sample
from rap_plugin.selectors.base import Selection

PER_VERDICT = 4
IMAGES = 2
"""Pictures shown of one sample; more are counted."""
SIDE = 288
"""Pixels of a thumbnail's longer side: 144 shown, sharp on dense screens."""
SMALL = 96
"""Pictures up to this side are kept as they are and shown enlarged."""
MAX_THUMBNAIL = 24 << 10
QUESTION = 480
RESPONSE = 420
GOLD = 160


@dataclass(frozen=True)
class Thumbnail:
    """A small picture as a `data:` URL."""

    url: str
    width: int
    height: int
    enlarged: bool


@dataclass(frozen=True)
class Quote:
    """One response, cut short."""

    verdict: str
    text: str
    extracted: str


@dataclass(frozen=True)
class ArmView:
    """What the rollouts of one arm say: their verdicts in order, a right and a wrong one."""

    arm: Arm
    marks: tuple[str, ...]
    right: int
    quotes: tuple[Quote, ...]


@dataclass(frozen=True)
class Example:
    """One sample."""

    id: str
    row: int
    question: str
    gold: str
    reason: str
    discrepancy: float | None
    psi: float | None
    thumbnails: tuple[Thumbnail, ...]
    more_images: int
    arms: tuple[ArmView, ...]


def find_examples(
    store: EvidenceStore, selection: Selection, pool: Pool, formats: Mapping[str, Any]
) -> dict[str, list[Example]]:
    """Up to four samples of every verdict: those with the lowest ids, which are hashes, so nobody picked them."""
    verdicts, ids = selection.decision.verdicts, selection.table.ids
    order = np.argsort(ids, kind="stable")
    chosen = {word: order[verdicts[order] == word][:PER_VERDICT].tolist() for word in selection.decision.counts()}
    every = [i for indices in chosen.values() for i in indices]
    samples = _load(selection, pool, every, formats)
    numbers = {int(selection.table.sample[i]): i for i in every}
    records: dict[int, list[RolloutRecord]] = {i: [] for i in every}
    for record in store.records(selection.table.probes, list(numbers)):
        if record.rollout < selection.table.rollouts:
            records[numbers[record.sample]].append(record)
    return {
        word: [_example(selection, i, samples.get(i), records[i]) for i in indices] for word, indices in chosen.items()
    }


def _load(selection: Selection, pool: Pool, wanted: Sequence[int], formats: Mapping[str, Any]) -> dict[int, Sample]:
    rows = [int(selection.table.rows[i]) for i in wanted]
    try:
        return dict(zip(wanted, load_samples(pool, selection.config.pool, rows, formats), strict=True))
    except RapError:
        # A report on old evidence is worth having even where some of the pool's files have moved on.
        found: dict[int, Sample] = {}
        for i, row in zip(wanted, rows, strict=True):
            with suppress(RapError):
                found[i] = load_samples(pool, selection.config.pool, [row], formats)[0]
        return found


def _example(selection: Selection, i: int, sample: Sample | None, records: Sequence[RolloutRecord]) -> Example:
    gain = float(selection.scores["discrepancy"][i])
    log = float(selection.scores["log_psi"][i])
    images = sample.images if sample else ()
    thumbnails = [found for data in images[:IMAGES] if (found := thumbnail(data))]
    return Example(
        id=str(selection.table.ids[i]),
        row=int(selection.table.rows[i]),
        question=shorten(sample.question.replace(IMAGE, " "), QUESTION)
        if sample
        else "(the pool's row cannot be read any more)",
        gold=shorten(sample.gold, GOLD) if sample else "",
        reason=selection.decision.reasons[i],
        discrepancy=None if np.isnan(gain) else gain,
        psi=None if np.isnan(log) else float(np.exp(min(log, 700.0))),
        thumbnails=tuple(thumbnails),
        more_images=max(0, len(images) - IMAGES),
        arms=tuple(_arm(arm, [record for record in records if record.arm == arm]) for arm in ARMS) if records else (),
    )


def _arm(arm: Arm, records: Sequence[RolloutRecord]) -> ArmView:
    marks = tuple((record.verdict or record.status) for record in records)
    quotes = []
    for verdict in ("right", "wrong"):
        found = next((record for record in records if record.verdict == verdict), None)
        if found is not None:
            quotes.append(Quote(verdict, shorten(found.text, RESPONSE), shorten(found.extracted or "", 60)))
    return ArmView(arm, marks, marks.count("right"), tuple(quotes))


def shorten(text: str, limit: int) -> str:
    """At most about `limit` characters: the beginning and the end, where a response has its answer."""
    if len(text) > 8 * limit:
        text = f"{text[: 4 * limit]} {text[-4 * limit :]}"
    text = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    if len(text) <= limit:
        return text
    tail = limit // 3
    return f"{text[: limit - tail].rstrip()} … {text[-tail:].lstrip()}"


def thumbnail(data: bytes) -> Thumbnail | None:
    """A picture of bounded size, or None where it cannot be decoded."""
    from PIL import Image

    try:
        picture = open_image(data)
    except ImageProblem:
        return None
    small = max(picture.size) <= SMALL
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    if small:
        target = io.BytesIO()
        picture.save(target, "PNG", optimize=True)
        return Thumbnail(_url("png", target.getvalue()), picture.width, picture.height, enlarged=True)
    for quality in (76, 50, 25):
        target = io.BytesIO()
        picture.save(target, "JPEG", quality=quality, optimize=True)
        if target.tell() <= MAX_THUMBNAIL:
            break
    return Thumbnail(_url("jpeg", target.getvalue()), picture.width, picture.height, enlarged=False)


def _url(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
