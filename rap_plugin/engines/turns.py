"""Assistant turns that are written in several goes: a model writes, something is put in behind it, it writes on.

What was put in (text, an image) stands inside the same assistant turn as what the model wrote. The tokens that the model
sampled are kept as they are: writing them as text and reading them again could make other tokens of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from rap_plugin.rollout import Prompt, Sampling

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class TurnPart:
    """One piece of an assistant turn: tokens that the model sampled, or a text or an image that was put in."""

    token_ids: tuple[int, ...] = ()
    text: str = ""
    image: Image | None = field(default=None, repr=False)

    @property
    def sampled(self) -> bool:
        """Whether the model wrote it."""
        return bool(self.token_ids)


@dataclass(slots=True, eq=False)
class Turn:
    """A prompt and the assistant turn behind it, as far as it is written."""

    prompt: Prompt
    seed: int
    """Of all draws of this turn (`rollout.rollout_seed`)."""
    max_new_tokens: int
    """Tokens that the model may sample in the whole turn."""
    parts: list[TurnPart] = field(default_factory=list)
    heard: Callable[[str], None] | None = field(default=None, repr=False)
    """Called with the text of the running segment, as far as it is sampled, each time that there is more of it."""
    read: Any = field(default=None, repr=False)
    """What the engine keeps of the parts that it has read: the engine's own."""

    @property
    def drawn(self) -> int:
        """Tokens that the model has sampled so far."""
        return sum(len(part.token_ids) for part in self.parts)

    @property
    def left(self) -> int:
        """Tokens that it may still sample."""
        return self.max_new_tokens - self.drawn

    def take_back(self) -> None:
        """Takes away what was put in behind the last sampled token."""
        while self.parts and not self.parts[-1].sampled:
            self.parts.pop()
        self.read = None


@dataclass(frozen=True, slots=True)
class Segment:
    """What a model wrote in one go. With status other than `ok` there is no text and `error` says why."""

    token_ids: tuple[int, ...] = ()
    """The sampled tokens, including the one that ended it."""
    text: str = ""
    """Without special tokens; a stop text that ended it is there."""
    finish: Literal["closed", "end", "length"] = "end"
    """`closed` by a stop text, `end` by the model's end token, `length` where it was cut."""
    turn_tokens: int = 0
    """Tokens of the prompt and the turn in front of it, those of images included."""
    status: Literal["ok", "overlong", "engine_error"] = "ok"
    error: str = ""


@dataclass(frozen=True, slots=True)
class VisionFacts:
    """What a model's files say of how it sees an image."""

    model_type: str
    """As in config.json: qwen2_5_vl, qwen3_vl, internvl, .."""
    factor: int = 1
    """Width and height of what the model sees are multiples of this; 1 where its image processor has no such rule."""
    min_pixels: int | None = None
    max_pixels: int | None = None
    """Bounds of the image processor on the area; None where it bounds none."""


class TurnQueue(Protocol):
    """Turns that wait to be written on. An engine takes from it until it is empty and nothing is running."""

    def take(self, most: int) -> list[Turn]:
        """At most so many turns that are ready; empty where none is, for now or for good."""
        ...

    def give(self, turn: Turn, segment: Segment) -> None:
        """What became of a turn that was taken; it may be ready again after this, with more parts."""
        ...


@runtime_checkable
class ContinuesTurns(Protocol):
    """An engine that writes assistant turns on, with images inside them."""

    def continue_turns(self, queue: TurnQueue, sampling: Sampling, stops: Sequence[str]) -> None:
        """Takes turns from the queue and gives each its next segment, as many at a time as the engine's batch holds.

        A segment ends at the end token, behind a text of `stops`, or where the turn has no tokens left. Never raises for
        one bad turn. Prompt and turn together hold at most `max_prompt_tokens + max_new_tokens` tokens.
        """
        ...

    def vision(self) -> VisionFacts:
        """Told from the model's files, without its weights."""
        ...


def ends_with_stop(text: str, stops: Sequence[str], new: int) -> bool:
    """Whether a stop text stands in a text and ends among its last `new` characters."""
    return any(text.find(stop, max(0, len(text) - new - len(stop) + 1)) >= 0 for stop in stops)
