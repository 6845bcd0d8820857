"""Samples as a person looks at them: pictures, question, gold answer, and what every rollout said."""

from __future__ import annotations

import base64
import io
import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from rap_plugin.errors import RapError
from rap_plugin.evidence.records import RolloutRecord
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.table import Numbers
from rap_plugin.evidence.tokens import read_tokens
from rap_plugin.evidence.variants import Variant
from rap_plugin.report.shades import Shaded, flagging_share, shaded
from rap_plugin.rollout import ARMS, Arm
from rap_plugin.samples.images import open_image
from rap_plugin.samples.ingest import load_samples
from rap_plugin.samples.pool import Pool
from rap_plugin.samples.sample import IMAGE, ImageProblem, Sample
from rap_plugin.selectors.base import Selection

IMAGES = 2
"""Pictures shown of one sample; more are counted."""
SIDE = 288
"""Pixels of a thumbnail's longer side: 144 shown, sharp on dense screens."""
SMALL = 96
"""Pictures up to this side are kept as they are and shown enlarged."""
MAX_THUMBNAIL = 24 << 10
ALL_THUMBNAILS = 2_400_000
"""Characters of all pictures of a page together; the samples behind them are shown without."""
ALL_SHADES = 700_000
"""Characters of all shaded responses of a page together; those behind them are shown without shades."""
QUESTION = 480
RESPONSE = 300
GOLD = 160


@dataclass(frozen=True)
class PageLimits:
    """How much of what is large a page has."""

    pictures: int = ALL_THUMBNAILS
    """Characters."""
    images: int = IMAGES
    """Of one sample."""
    shades: int = ALL_SHADES
    """Characters."""


EVERY_PICTURE = PageLimits(sys.maxsize, sys.maxsize)


@dataclass(frozen=True)
class Thumbnail:
    """A small picture as a `data:` URL."""

    url: str
    width: int
    height: int
    enlarged: bool


@dataclass(frozen=True)
class Said:
    """One rollout."""

    mark: str
    """`right`, `wrong`, or what kept it from being graded."""
    text: str
    """The response, cut short."""
    extracted: str
    """What the grader read in it."""
    why: str
    """The grader's reason, where it gave one."""
    log_psi: float | None
    shades: Shaded | None = None
    """The response in shaded tokens, where its attention by token is stored."""

    @property
    def psi(self) -> float:
        return math.exp(min(self.log_psi or 0.0, 700.0))


@dataclass(frozen=True)
class ArmView:
    """The rollouts of one arm."""

    arm: Arm
    right: int
    rollouts: tuple[Said, ...]


@dataclass(frozen=True)
class Example:
    """One sample."""

    index: int
    """In the evidence table."""
    verdict: str
    id: str
    row: int
    question: str
    gold: str
    reason: str
    discrepancy: float | None
    psi: float | None
    chance: float | None
    """Probability of being selected, where it was looked at."""
    scores: str
    """discrepancy, difficulty, log10 psi, share right with the image and without, chance: what the page's script filters by; - where unknown."""
    thumbnails: tuple[Thumbnail, ...]
    more_images: int
    unshown: bool
    """It has pictures, but the page has no more room for them."""
    unshaded: int
    """Responses whose attention by token is stored, but for whose shades the page has no more room."""
    arms: tuple[ArmView, ...]


def find_examples(
    store: EvidenceStore,
    selection: Selection,
    pool: Pool,
    formats: Mapping[str, Any],
    wanted: Sequence[int],
    limits: PageLimits = PageLimits(),
    chance: Numbers | None = None,
) -> list[Example]:
    """The samples with these indices in the evidence table; their pictures and shades as long as the limits allow.

    `chance` (N,) is the probability of being selected.
    """
    chance = selection.scores.get("probability") if chance is None else chance
    samples = _load(selection, pool, wanted, formats)
    numbers = {int(selection.table.sample[i]): i for i in wanted}
    records: dict[int, list[RolloutRecord]] = {i: [] for i in wanted}
    ace = selection.config.ace
    variant = Variant(ace.reduction, ace.heads, ace.window)
    for record in store.records(selection.table.probes, list(numbers), variant.column):
        if record.rollout < selection.table.rollouts:
            records[numbers[record.sample]].append(record)
    tokens = read_tokens(store, selection.table.probes["image"], variant, list(numbers))
    limit = flagging_share(variant, selection.decision.thresholds.get("lambda_a", 0.0))
    found, room, room_for_shades = [], limits.pictures, limits.shades
    for i in wanted:
        images = samples[i].images if i in samples else ()
        thumbnails = [drawn for data in images[: limits.images] if (drawn := thumbnail(data))] if room > 0 else []
        room -= sum(len(drawn.url) for drawn in thumbnails)
        known = [one for one in records[i] if one.arm == "image" and (one.sample, one.rollout) in tokens]
        shades = {}
        for record in known:
            if room_for_shades <= 0:
                break
            shades[record.rollout] = shaded(record.text, tokens[record.sample, record.rollout], limit)
            room_for_shades -= shades[record.rollout].size
        found.append(
            _example(
                selection,
                i,
                samples.get(i),
                records[i],
                tuple(thumbnails),
                chance,
                shades,
                more_images=max(0, len(images) - limits.images) if thumbnails else 0,
                unshown=room <= 0 and bool(images) and not thumbnails,
                unshaded=len(known) - len(shades),
            )
        )
    return found


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


def _example(
    selection: Selection,
    i: int,
    sample: Sample | None,
    records: Sequence[RolloutRecord],
    thumbnails: tuple[Thumbnail, ...],
    chance: Numbers | None,
    shades: Mapping[int, Shaded],
    *,
    more_images: int,
    unshown: bool,
    unshaded: int,
) -> Example:
    gain = float(selection.scores["discrepancy"][i])
    log = float(selection.scores["log_psi"][i])
    likely = None if chance is None or np.isnan(chance[i]) else float(chance[i])
    return Example(
        index=i,
        verdict=str(selection.decision.verdicts[i]),
        id=str(selection.table.ids[i]),
        row=int(selection.table.rows[i]),
        question=shorten(sample.question.replace(IMAGE, " "), QUESTION)
        if sample
        else "(the pool's row cannot be read any more)",
        gold=shorten(sample.gold, GOLD) if sample else "",
        reason=selection.decision.reasons[i],
        discrepancy=None if np.isnan(gain) else gain,
        psi=None if np.isnan(log) else float(np.exp(min(log, 700.0))),
        chance=likely,
        scores=_scores(selection, i, likely),
        thumbnails=thumbnails,
        more_images=more_images,
        unshown=unshown,
        unshaded=unshaded,
        arms=tuple(
            _arm(arm, [record for record in records if record.arm == arm], shades if arm == "image" else {})
            for arm in ARMS
        )
        if records
        else (),
    )


def _scores(selection: Selection, i: int, chance: float | None) -> str:
    scores, arms = selection.scores, selection.table.arms
    numbers = [
        float(scores["discrepancy"][i]),
        float(scores["difficulty"][i]),
        float(scores["log_psi"][i]) / math.log(10),
        float(arms["image"].accuracy[i]),
        float(arms["blind"].accuracy[i]),
        math.nan if chance is None else chance,
    ]
    return " ".join("-" if math.isnan(number) else f"{number:.5g}" for number in numbers)


def _arm(arm: Arm, records: Sequence[RolloutRecord], shades: Mapping[int, Shaded]) -> ArmView:
    said = tuple(
        Said(
            record.verdict or record.status,
            shorten(record.text, RESPONSE),
            shorten(record.extracted or "", 60),
            shorten(record.grade_reason or record.error, 80),
            record.log_psi,
            shades.get(record.rollout),
        )
        for record in records
    )
    return ArmView(arm, sum(one.mark == "right" for one in said), said)


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
