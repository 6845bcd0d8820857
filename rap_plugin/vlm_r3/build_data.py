"""Interleaved rows for supervised fine-tuning, made of a pool whose evidence has known boxes.

Each row of the pool brings its boxes (see `evidence_boxes.COLUMNS`) and may bring its reasoning, one text per box and one for the end
(`rationale`); without it the words are plain ones. Kept is what passes the filters of VLIR (arXiv 2505.16192), here as far as they need no
second model: regions that show something (`region`), reasoning that holds together and says nothing twice (`reasoning`), and an answer
that is the gold answer (`answer`). The paper asks a small vision-language model about the first and a language model about the second;
`Judges` takes such models, and is asked only about what the rules let through.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rap_plugin.samples.images import open_image
from rap_plugin.samples.sample import IMAGE, Quarantined, Sample
from rap_plugin.vlm_r3.coordinates import Frame, Region, to_corners
from rap_plugin.vlm_r3.crops import TRAINING, CropLimits, crop, too_small
from rap_plugin.vlm_r3.evidence_boxes import read_boxes
from rap_plugin.vlm_r3.golds import alternatives
from rap_plugin.vlm_r3.interventions import overlap

if TYPE_CHECKING:
    from PIL.Image import Image

RATIONALE = "rationale"
"""Column with the reasoning of a row: a text in front of each box, and one behind the last."""

FIRST, NEXT, LAST = "I look at the part that matters.", "I look at the next part.", "Now I can tell."


@dataclass(frozen=True)
class Judges:
    """Models that are asked about what the rules let through; None asks nobody. False refuses."""

    region: Callable[[Image, str], bool] | None = None
    """(crop, question) -> whether something whole can be recognised in it."""
    reasoning: Callable[[str, str], bool] | None = None
    """(question, whole response) -> whether it holds together, step by step."""


@dataclass(frozen=True)
class Filters:
    """What a row has to pass."""

    min_side: int = 4
    """Pixels that a region has each way."""
    max_share: float = 0.8
    """Of the image that a region takes: looking at nearly everything is no look."""
    min_contrast: float = 2.0
    """Standard deviation of the region's grey values (0..255): below it there is nothing in it."""
    max_overlap: float = 0.9
    """Intersection over union of two regions of a row: above it the second says nothing new."""
    max_regions: int = 8


class Refused(Exception):
    """Why a row is left out: which filter, and what is wrong."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name, self.reason = name, reason


@dataclass(frozen=True)
class BuiltRow:
    """A row that passed: its segments and the regions between them."""

    question: str
    answer: str
    segments: tuple[str, ...]
    regions: tuple[Region, ...]


@dataclass
class BuildCounts:
    """What became of a pool's rows."""

    kept: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def build_row(
    image: Image,
    question: str,
    answer: str,
    boxes: Sequence[Region],
    frame: Frame,
    rationale: Any = None,
    filters: Filters | None = None,
    judges: Judges | None = None,
) -> BuiltRow:
    """One row as an interleaved turn. Raises Refused."""
    filters, judges = filters or Filters(), judges or Judges()
    regions = _regions(image, boxes, filters)
    if judges.region is not None:
        for region in regions:
            if not judges.region(image.crop(region), question):
                raise Refused("region", f"the judge recognises nothing in {list(region)}")
    words = _words(len(regions), answer, rationale)
    segments = [
        f"{'<think>' if not at else ''}{words[at]} {_json(frame, region, image)}" for at, region in enumerate(regions)
    ]
    segments.append(f"{words[-1]}</think><answer>{alternatives(answer)[0]}</answer>")
    if judges.reasoning is not None and not judges.reasoning(question, "\n".join(segments)):
        raise Refused("reasoning", "the judge says that it does not hold together")
    return BuiltRow(question, answer, tuple(segments), regions)


def write_rows(
    rows: Iterable[tuple[Mapping[str, Any], Sample | Quarantined]],
    out: Path,
    frame: Frame,
    *,
    boxes: str | None = None,
    limits: CropLimits = TRAINING,
    filters: Filters | None = None,
    judges: Judges | None = None,
) -> BuildCounts:
    """Writes sft.jsonl, rl.jsonl, images/ and refused.jsonl below `out`, from a pool's rows and what ingest made of them.

    sft.jsonl has VLIR's columns (image_path, question, response_list, img_crop_list), rl.jsonl image_path, question, answer,
    source and evidence_boxes; paths are below `out`. A row that cannot be used is refused with its reason, never the end of the run.
    """
    (out / "images").mkdir(parents=True, exist_ok=True)
    counts = BuildCounts()
    with (
        (out / "sft.jsonl").open("w", encoding="utf-8") as sft,
        (out / "rl.jsonl").open("w", encoding="utf-8") as rl,
        (out / "refused.jsonl").open("w", encoding="utf-8") as refused,
    ):
        for number, (row, sample) in enumerate(rows):
            try:
                image, question, answer = _problem(sample)
                known_boxes = _known(read_boxes(row, boxes))
                built = build_row(image, question, answer, known_boxes, frame, row.get(RATIONALE), filters, judges)
            except Refused as why:
                counts.refused[why.name] += 1
                refused.write(json.dumps({"row": number, "filter": why.name, "reason": why.reason}) + "\n")
                continue
            whole = f"images/{number:07d}.png"
            crops = [f"images/{number:07d}_{at}.png" for at in range(len(built.regions))]
            (out / whole).write_bytes(_png(image))
            for name, region in zip(crops, built.regions, strict=True):
                (out / name).write_bytes(_png(crop(image, region, limits, frame.factor)))
            base = {"image_path": whole, "question": question}
            sft.write(json.dumps({**base, "response_list": built.segments, "img_crop_list": crops}) + "\n")
            known = {"answer": answer, "source": str(row.get("source") or ""), "evidence_boxes": built.regions}
            rl.write(json.dumps({**base, **known}) + "\n")
            counts.kept += 1
    return counts


def _problem(sample: Sample | Quarantined) -> tuple[Image, str, str]:
    """(image, question without its placeholder, gold answer)."""
    if isinstance(sample, Quarantined):
        raise Refused("unreadable", f"{sample.status}: {sample.reason}")
    if len(sample.images) != 1:
        raise Refused("boxes", f"{len(sample.images)} images; boxes are about one")
    return open_image(sample.images[0]), sample.question.replace(IMAGE, "").strip(), sample.gold


def _known(boxes: Sequence[Region | None]) -> tuple[Region, ...]:
    """The boxes of a row, all of which have to be boxes: without one of them the evidence would be half of it."""
    kept = tuple(box for box in boxes if box is not None)
    if len(kept) < len(boxes):
        raise Refused(
            "boxes",
            f"{len(boxes) - len(kept)} of {len(boxes)} are not [x1, y1, x2, y2] in pixels with x1 < x2 and y1 < y2",
        )
    return kept


def _regions(image: Image, boxes: Sequence[Region], filters: Filters) -> tuple[Region, ...]:
    import numpy as np

    if not boxes:
        raise Refused("boxes", "no box of the evidence is known")
    if len(boxes) > filters.max_regions:
        raise Refused("boxes", f"{len(boxes)} boxes, the limit is {filters.max_regions}")
    width, height = image.size
    kept: list[Region] = []
    for box in boxes:
        region = (max(0, box[0]), max(0, box[1]), min(width, box[2]), min(height, box[3]))
        if region[0] >= region[2] or region[1] >= region[3] or too_small(region, filters.min_side):
            raise Refused("region", f"{list(box)} shows nothing of an image of {width} x {height}")
        area = (region[2] - region[0]) * (region[3] - region[1])
        if area > filters.max_share * width * height:
            raise Refused("region", f"{list(box)} is nearly the whole image")
        if float(np.asarray(image.crop(region).convert("L")).std()) < filters.min_contrast:
            raise Refused("region", f"{list(box)} is empty")
        for other in kept:
            shared = overlap(region, other)
            if shared > filters.max_overlap * (area + _area(other) - shared):
                raise Refused("reasoning", f"{list(box)} is looked at twice")
        kept.append(region)
    return tuple(kept)


def _words(count: int, answer: str, rationale: Any) -> list[str]:
    """A text in front of each box and one behind the last."""
    if not alternatives(answer) or "<answer>" in answer or "</answer>" in answer:
        raise Refused("answer", "the gold answer is empty or holds a tag")
    if rationale is None:
        return [FIRST, *[NEXT] * (count - 1), LAST]
    if not isinstance(rationale, (list, tuple)) or not all(isinstance(text, str) for text in rationale):
        raise Refused("reasoning", f"{RATIONALE} is no list of texts")
    words = [text.strip() for text in rationale]
    if len(words) != count + 1:
        raise Refused("reasoning", f"{len(words)} texts for {count} boxes; there has to be one more than boxes")
    if not all(words):
        raise Refused("reasoning", "a step says nothing")
    if len({text.casefold() for text in words}) < len(words):
        raise Refused("reasoning", "a step is said twice")
    if any(mark in text for text in words for mark in ("bbox_2d", "<answer>", "</answer>", "</think>")):
        raise Refused("reasoning", "a step holds a box or an answer of its own")
    if not any(_says(words[-1], one) for one in alternatives(answer)):
        raise Refused("answer", "the last step does not come to the gold answer")
    return words


def _says(text: str, answer: str) -> bool:
    """Whether a text holds an answer as a word or number of its own: 40, 2.4 and -4 do not say 4."""
    before = r"(?<![0-9A-Za-z])" if _is_word(answer[0]) else ""
    behind = r"(?![0-9A-Za-z])" if _is_word(answer[-1]) else ""
    if answer[0].isdigit():
        before += r"(?<!\d[.,])(?<![-−/])"
    if answer[-1].isdigit():
        behind += r"(?![.,]\d)(?!\s?/\s?\d)"
    return re.search(before + re.escape(answer) + behind, text, re.IGNORECASE) is not None


def _is_word(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _json(frame: Frame, region: Region, image: Image) -> str:
    return json.dumps({"bbox_2d": list(to_corners(frame, region, image.size))})


def _area(region: Region) -> int:
    return (region[2] - region[0]) * (region[3] - region[1])


def _png(image: Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
