"""What a row of the region loop did: its segments, the boxes it asked for, what it was shown, and why it ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rap_plugin.vlm_r3.coordinates import Region, Size

Ended = Literal["answer", "end", "tokens", "segments", "context", "cancelled", "engine_error", "overlong"]
"""`answer`: the answer is closed · `end`: the model ended its turn · `tokens`: its tokens are used up · `segments`: it has
had all its goes · `context`: no room for more · `cancelled`: nobody waits for it any more · `engine_error`, `overlong`: the engine has not answered at all."""

VERSION = 1


@dataclass(frozen=True, slots=True)
class Look:
    """One box that the model asked for."""

    segment: int
    """Number of the segment that ends with it."""
    asked: str
    """The JSON, as written."""
    image: int = 0
    """Which of the prompt's images, from 0."""
    region: Region | None = None
    """Pixels of that image; None where there is no such region."""
    shown: Size | None = None
    """(width, height) of the crop that was put in; None where none was."""
    problem: str = ""
    """Why no crop was put in."""
    instead: str = ""
    """What was put in where it is not the region itself: blank, swapped, random, none."""

    @property
    def valid(self) -> bool:
        """Whether the box was a box, whatever was shown of it."""
        return self.region is not None and not self.problem


@dataclass(frozen=True, slots=True)
class Trace:
    """A finished row."""

    segments: tuple[str, ...]
    """What the model wrote, one text a go."""
    inserted: tuple[str, ...]
    """Text that was put in behind each segment, without the image."""
    looks: tuple[Look, ...]
    ended: Ended
    tokens: int
    """Tokens that the model sampled."""
    token_ids: tuple[tuple[int, ...], ...] = ()
    """Of each segment."""
    error: str = ""

    @property
    def text(self) -> str:
        """All that the model wrote, without what was put in."""
        return "".join(self.segments)

    @property
    def answer(self) -> str:
        """What stands in the last <answer> .. </answer>; all of the last segment where there is none."""
        start = self.text.rfind("<answer>")
        if start < 0:
            return self.segments[-1].strip() if self.segments else ""
        return self.text[start + len("<answer>") :].split("</answer>")[0].strip()

    @property
    def crops(self) -> int:
        """Crops that were put in."""
        return sum(look.shown is not None for look in self.looks)

    def to_json(self) -> str:
        """Canonical JSON, for the evidence."""
        return json.dumps({"version": VERSION, **asdict(self)}, sort_keys=True, ensure_ascii=True)

    @staticmethod
    def from_json(text: str) -> Trace:
        """The trace that `to_json` wrote. Raises ValueError for anything else."""
        try:
            fields: dict[str, Any] = json.loads(text)
            if fields.pop("version") != VERSION:
                raise ValueError("a trace of another version")
            looks = tuple(Look(**{**look, **_sizes(look)}) for look in fields.pop("looks"))
            fields |= {name: tuple(fields[name]) for name in ("segments", "inserted")}
            fields["token_ids"] = tuple(tuple(part) for part in fields["token_ids"])
            return Trace(looks=looks, **fields)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no trace of a region loop ({error})") from None

    def steps(self) -> Iterator[tuple[str, Look | None, str]]:
        """(what the model wrote, the look that it ended with, what was put in), in order."""
        by_segment = {look.segment: look for look in self.looks}
        for at, segment in enumerate(self.segments):
            yield segment, by_segment.get(at), self.inserted[at] if at < len(self.inserted) else ""


def _sizes(look: dict[str, Any]) -> dict[str, Any]:
    return {name: None if look[name] is None else tuple(look[name]) for name in ("region", "shown")}
