"""The region loop as a state machine: a row is told what the model wrote, and says what stands behind it next.

No engine, no model and no file is known here. `RegionRow.turn` is what an engine writes on; `RegionRow.accept` takes the
segment that it wrote: a box that can be shown puts a crop into the turn, one that cannot puts in a short message, an
answer ends the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rap_plugin.engines.turns import Segment, Turn, TurnPart
from rap_plugin.rollout import Prompt
from rap_plugin.vlm_r3.boxes import ANSWER_END, AskedBox, BadBox, read_box
from rap_plugin.vlm_r3.coordinates import Frame, Region, outside, to_region
from rap_plugin.vlm_r3.crops import EVALUATION, CropLimits, crop, too_small
from rap_plugin.vlm_r3.trace import Ended, Look, Trace

if TYPE_CHECKING:
    from PIL.Image import Image

UNASKED = 8
"""Stops without a box (a brace in a formula) that a row may have for every segment that it may have."""

KEPT = 300
"""Characters of a box's text that the trace keeps."""


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """What a row may do."""

    max_segments: int = 12
    """Segments that end with a box or the answer."""
    max_crops: int = 8
    """Crops that are put in; further boxes get a message."""
    max_new_tokens: int = 2048
    """Tokens that the model may sample in the whole row."""
    max_crop_pixels: int = 64 * 1024 * 28 * 28
    """Pixels of all crops of a row together."""
    limits: CropLimits = EVALUATION
    min_side: int = 4
    """Pixels of the raw image that a region has at least, each way."""
    before_crop: str = ""
    after_crop: str = ""
    """Text put in around a crop."""


Show = Callable[["RegionRow", Look, "Image"], "Image | None"]
"""Given (row, look, the crop) what is put in instead; None for no image at all."""


@dataclass(slots=True, eq=False)
class RegionRow:
    """One prompt on its way to an answer."""

    key: str
    """The row's name, the caller's own."""
    turn: Turn
    """What the engine writes on."""
    frame: Frame
    options: LoopOptions
    show: Show | None = None
    """Replaces crops, for counterfactuals; `instead` is its name."""
    instead: str = ""
    looks: list[Look] = field(default_factory=list)
    ended: Ended | None = None
    error: str = ""
    segments: list[Segment] = field(default_factory=list)
    inserted: list[str] = field(default_factory=list)
    told: Callable[[str, Look | None, str], None] | None = None
    """Called after each segment with (its text, the look that it ended with, what was put in)."""
    _pixels: int = 0
    _pending: bool = False
    """Whether the last crop has not been read by the engine yet."""

    @staticmethod
    def of(
        prompt: Prompt,
        frame: Frame,
        options: LoopOptions,
        *,
        seed: int = 0,
        key: str = "",
        show: Show | None = None,
        instead: str = "",
    ) -> RegionRow:
        """A row at its beginning; the prompt's images are those that boxes are about."""
        turn = Turn(prompt, seed, options.max_new_tokens)
        return RegionRow(key or prompt.sample_id, turn, frame, options, show, instead)

    @property
    def done(self) -> bool:
        """Whether nothing is to be written any more."""
        return self.ended is not None

    def accept(self, segment: Segment) -> None:
        """Takes what the engine wrote. Never raises for what a model writes."""
        if self.done:
            return
        if segment.status != "ok":
            self._failed(segment)
            return
        looked = len(self.looks)
        self._take(segment)
        if self.told is not None:
            self.told(segment.text, self.looks[-1] if len(self.looks) > looked else None, self.inserted[-1])

    def _take(self, segment: Segment) -> None:
        self._pending = False
        self.segments.append(segment)
        self.inserted.append("")
        if segment.token_ids:
            self.turn.parts.append(TurnPart(token_ids=segment.token_ids))
        if segment.finish == "end":
            self.ended = "answer" if ANSWER_END in segment.text else "end"
        elif segment.finish == "length":
            # A box that was cut off is no box, whatever its text looks like.
            self.ended = "tokens" if self.turn.left <= 0 else "context"
        elif segment.text.rstrip().endswith(ANSWER_END) or ANSWER_END in segment.text[-len(ANSWER_END) - 8 :]:
            self.ended = "answer"
        else:
            self._look(segment.text)
            self._spent()

    def cancel(self) -> None:
        """Ends the row here: nobody waits for it any more."""
        self.ended = self.ended or "cancelled"

    def trace(self) -> Trace:
        """What the row did."""
        return Trace(
            segments=tuple(one.text for one in self.segments),
            inserted=tuple(self.inserted),
            looks=tuple(self.looks),
            ended=self.ended or "context",
            tokens=self.turn.drawn,
            token_ids=tuple(one.token_ids for one in self.segments),
            error=self.error,
        )

    # -- inside ---------------------------------------------------------------------------------------------------

    def _look(self, text: str) -> None:
        """Answers the box that the text ends with, if it ends with one."""
        asked = read_box(text)
        if asked is None:
            return
        at = len(self.segments) - 1
        if isinstance(asked, BadBox):
            self._refuse(Look(at, asked.text[:KEPT], problem=asked.reason))
            return
        image = self._image_of(asked)
        if isinstance(image, str):
            self._refuse(Look(at, asked.text[:KEPT], problem=image))
            return
        self._show(image, asked, at)

    def _image_of(self, asked: AskedBox) -> int | str:
        """Which image a box is about, from 0, or why that is not known."""
        count = len(self.turn.prompt.images)
        if not count:
            return "there is no image"
        if asked.image is None:
            if count == 1:
                return 0
            return f'there are {count} images; say which one in front, as in {{"image": 1, "bbox_2d": [..]}}'
        if not 1 <= asked.image <= count:
            return f"there is no image {asked.image}; they are counted from 1 to {count}"
        return asked.image - 1

    def _show(self, number: int, asked: AskedBox, at: int) -> None:
        image = self.turn.prompt.images[number]
        region = to_region(self.frame, asked.corners, image.size)
        problem = self._problem(number, asked, region)
        look = Look(at, asked.text[:KEPT], number, None if outside(self.frame, asked.corners, image.size) else region)
        if problem:
            self._refuse(replace(look, problem=problem))
            return
        shown: Image | None = crop(image, region, self.options.limits, self.frame.factor)
        assert shown is not None
        if self._pixels + shown.width * shown.height > self.options.max_crop_pixels:
            self._refuse(replace(look, problem="there is no room for more regions; answer now"))
            return
        if self.show is not None:
            shown = self.show(self, look, shown)
        size = None if shown is None else shown.size
        self.looks.append(replace(look, shown=size, instead=self.instead))
        before, after = self.options.before_crop, self.options.after_crop
        self._put(before)
        if shown is not None:
            self._pixels += shown.width * shown.height
            self.turn.parts.append(TurnPart(image=shown))
        self._put(after)
        self.inserted[at] = before + after
        self._pending = shown is not None

    def _problem(self, number: int, asked: AskedBox, region: Region) -> str:
        """Why a region cannot be shown, empty where it can."""
        if outside(self.frame, asked.corners, self.turn.prompt.images[number].size):
            return "the box lies outside the image"
        if too_small(region, self.options.min_side):
            return "the region is too small to show anything"
        if any(look.region == region and look.image == number and not look.problem for look in self.looks):
            return "this region was shown already"
        if sum(not look.problem for look in self.looks) >= self.options.max_crops:
            return "no more regions are shown; answer now"
        return ""

    def _refuse(self, look: Look) -> None:
        """A message in place of a crop."""
        self.looks.append(look)
        message = f"\n[no crop: {look.problem}]\n"
        self.inserted[look.segment] = message
        self._put(message)

    def _put(self, text: str) -> None:
        if text:
            self.turn.parts.append(TurnPart(text=text))

    def _spent(self) -> None:
        """Ends the row where it has had all its goes or tokens."""
        if len(self.looks) >= self.options.max_segments or len(self.segments) >= UNASKED * self.options.max_segments:
            self.ended = "segments"
        elif self.turn.left <= 0:
            self.ended = "tokens"

    def _failed(self, segment: Segment) -> None:
        if segment.status == "overlong" and self._pending:
            # The crop does not fit: it is taken back, and the model is told so and may still answer.
            self.turn.take_back()
            self._pending = False
            look = replace(self.looks.pop(), shown=None, problem="there is no room for more regions; answer now")
            self.inserted[look.segment] = ""
            self._refuse(look)
            return
        self.error = segment.error
        if segment.status == "overlong":
            self.ended = "context" if self.segments else "overlong"
        else:
            self.ended = "engine_error"
