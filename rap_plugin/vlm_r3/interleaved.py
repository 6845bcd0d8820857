"""Rows for supervised fine-tuning, in the format of VLIR (arXiv 2505.16192): segments of one assistant turn and the crops between.

    {"image_path": .., "question": .., "response_list": [seg0, seg1, ..], "img_crop_list": [crop0, ..]}

Segment i is followed by crop i; the last segment holds the answer. Pictures are paths (below a root), {bytes, path} as `datasets` has them, or PIL images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rap_plugin.engines.turns import Turn, TurnPart
from rap_plugin.rollout import Prompt
from rap_plugin.samples.formats.base import RowProblem
from rap_plugin.samples.images import image_bytes, open_image
from rap_plugin.samples.sample import IMAGE

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_NAMES = ("image_path", "images", "image")
CROP_NAMES = ("img_crop_list", "crops")

MOST = 64
"""Segments that a row may have."""


@dataclass(frozen=True)
class InterleavedTurn:
    """One row, its pictures open."""

    images: tuple[Image, ...]
    question: str
    segments: tuple[str, ...]
    crops: tuple[Image, ...]
    """One between each two segments."""

    def prompt(self) -> Prompt:
        """The user's side; images without a placeholder in the question stand in front of it."""
        missing = len(self.images) - self.question.count(IMAGE)
        return Prompt("", "image", IMAGE * max(0, missing) + self.question, self.images)

    def turn(self, tokenizer: Any) -> Turn:
        """The assistant's side as if a model had written it, with the end token behind it."""
        parts: list[TurnPart] = []
        for at, segment in enumerate(self.segments):
            ids = tokenizer.encode(segment, add_special_tokens=False)
            if at == len(self.segments) - 1 and tokenizer.eos_token_id is not None:
                ids = [*ids, tokenizer.eos_token_id]
            parts.append(TurnPart(token_ids=tuple(ids)))
            if at < len(self.crops):
                parts.append(TurnPart(image=self.crops[at]))
        return Turn(self.prompt(), 0, sum(len(part.token_ids) for part in parts), parts)


def read_interleaved(row: Mapping[str, Any], root: Path | None = None) -> InterleavedTurn:
    """The row with its pictures open. Raises RowProblem, one line, for anything else."""
    segments, question = row.get("response_list"), row.get("question")
    if not isinstance(question, str) or not question.strip():
        raise RowProblem("there is no question")
    if not isinstance(segments, Sequence) or isinstance(segments, str) or not all(isinstance(s, str) for s in segments):
        raise RowProblem("response_list is no list of texts")
    crops: Any = next((row[name] for name in CROP_NAMES if row.get(name) is not None), [])
    if not isinstance(crops, Sequence) or isinstance(crops, str):
        raise RowProblem("img_crop_list is no list")
    if len(segments) != len(crops) + 1 or len(segments) > MOST:
        raise RowProblem(f"{len(segments)} segments for {len(crops)} crops; there has to be one crop between each two")
    if not all(segment.strip() for segment in segments):
        raise RowProblem("a segment is empty")
    value = next((row[name] for name in IMAGE_NAMES if row.get(name) is not None), None)
    if value is None:
        raise RowProblem(f"there is no image; columns: {', '.join(IMAGE_NAMES)}")
    pictures = value if isinstance(value, (list, tuple)) else [value]
    return InterleavedTurn(
        tuple(_picture(one, root) for one in pictures),
        question,
        tuple(segments),
        tuple(_picture(one, root) for one in crops),
    )


def _picture(value: Any, root: Path | None) -> Image:
    if hasattr(value, "resize"):
        return value  # type: ignore[no-any-return]
    try:
        return open_image(image_bytes(value, root or Path.cwd(), allow_urls=False))
    except RowProblem:
        raise
    except Exception as error:
        raise RowProblem(f"a picture cannot be read: {error}") from None
