"""One question about one or more images: the reasoning as it comes, and a page of where the model looked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rap_plugin.config import RunConfig
from rap_plugin.engines.base import Engine
from rap_plugin.rollout import Prompt, rollout_seed
from rap_plugin.samples.sample import IMAGE
from rap_plugin.vlm_r3 import settings
from rap_plugin.vlm_r3.coordinates import Frame
from rap_plugin.vlm_r3.driver import run_rows
from rap_plugin.vlm_r3.loop import RegionRow
from rap_plugin.vlm_r3.trace import Look, Trace

if TYPE_CHECKING:
    from PIL.Image import Image

Told = Callable[[str, "Look | None", str], None]
"""Given (what the model wrote, the look that it ended with, what was put in), once a segment."""


class AsItComes:
    """Passes on what a model writes of a segment while it writes it, each character once."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write, self._shown = write, ""

    def hear(self, text: str) -> None:
        """The running segment, as far as it is written."""
        if len(text) > len(self._shown) and text.startswith(self._shown):
            self._write(text[len(self._shown) :])
            self._shown = text

    def end(self, text: str) -> None:
        """The whole segment: what was not shown of it yet."""
        self.hear(text)
        self._shown = ""


def question_row(
    question: str,
    images: Sequence[Image],
    config: RunConfig,
    frame: Frame,
    *,
    system: str = "",
    told: Told | None = None,
    key: str = "",
) -> RegionRow:
    """A row for a question of a user; `<image>` inside it stands for an image, else the images come first."""
    text = question if question.count(IMAGE) == len(images) else IMAGE * len(images) + question.replace(IMAGE, "")
    behind = config.r3.instruction
    if behind is None:
        behind = settings.instruction(frame.scale, len(images))
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
    prompt = Prompt(
        key or digest,
        "image",
        f"{text} {behind}".strip(),
        tuple(images),
        system or config.prompt.system,
        config.prompt.template_options,
    )
    seed = rollout_seed(config.sampling.seed, digest, "image", 0)
    row = RegionRow.of(prompt, frame, settings.make_options(config), seed=seed)
    row.told = told
    return row


def ask(
    engine: Engine,
    question: str,
    images: Sequence[Image],
    config: RunConfig,
    told: Told | None = None,
    heard: Callable[[str], None] | None = None,
) -> Trace:
    """Answers one question; `heard` gets the running segment each time that there is more of it.

    Raises RapError for an engine that cannot put images into an answer.
    """
    row = question_row(question, images, config, settings.make_frame(config, engine), told=told)
    row.turn.heard = heard
    done: list[RegionRow] = []
    run_rows(engine, [row], settings.make_sampling(config), done.append)
    return done[0].trace()
