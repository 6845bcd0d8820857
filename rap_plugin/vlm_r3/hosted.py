"""Rows whose tokens a training host's own engine samples: the host asks one segment at a time and keeps the token ids.

Crops are written into the same assistant turn, as the tokens that the processor makes of them, and marked as not sampled.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from rap_plugin.config import R3Config
from rap_plugin.engines.turns import Segment, VisionFacts
from rap_plugin.errors import RapError
from rap_plugin.rollout import Prompt
from rap_plugin.vlm_r3.boxes import STOPS
from rap_plugin.vlm_r3.coordinates import frame_of
from rap_plugin.vlm_r3.crops import TRAINING, CropLimits
from rap_plugin.vlm_r3.loop import LoopOptions, RegionRow

if TYPE_CHECKING:
    from PIL.Image import Image

PREFIX = "RAP_R3_"
"""Environment variables of a training run: RAP_R3_MAX_CROPS=4, RAP_R3_COORDINATES=normalised, .."""


class HostedRow:
    """One row: the tokens so far, which of them the model sampled, and the images in them."""

    def __init__(
        self,
        prompt_ids: Sequence[int],
        images: Sequence[Image],
        processor: Any,
        *,
        most_tokens: int,
        options: R3Config | None = None,
    ) -> None:
        """`prompt_ids` hold every image's tokens; prompt and turn together have at most `most_tokens`."""
        options = options or options_of(os.environ)
        facts = facts_of(processor)
        limits = CropLimits(TRAINING.min_pixels, TRAINING.max_pixels)
        if {"min_crop_pixels", "max_crop_pixels"} & options.model_fields_set:
            limits = CropLimits(options.min_crop_pixels, max(options.min_crop_pixels, options.max_crop_pixels))
        loop = LoopOptions(
            max_segments=options.max_segments,
            max_crops=options.max_crops,
            max_new_tokens=max(1, most_tokens - len(prompt_ids)),
            limits=limits,
            min_side=options.min_side,
        )
        prompt = Prompt("", "image", "", tuple(images))
        self.row = RegionRow.of(prompt, frame_of(facts, options.coordinates), loop)
        self.ids = list(prompt_ids)
        self.sampled: list[bool] = [False] * len(self.ids)
        """For every token whether the model sampled it."""
        self.images = list(images)
        """All images in the tokens, in order: the prompt's and the crops."""
        self.visual: list[Mapping[str, Any]] = []
        """What the processor made of each crop: pixel tensors."""
        self._processor, self._most = processor, most_tokens
        self._prompt_length = len(self.ids)
        self._read = 0

    @property
    def left(self) -> int:
        """Tokens that may still be sampled."""
        return self._most - len(self.ids)

    @property
    def done(self) -> bool:
        """Whether nothing is to be sampled any more."""
        return self.row.done or self.left < 1

    @property
    def response_ids(self) -> list[int]:
        """All tokens behind the prompt."""
        return self.ids[self._prompt_length :]

    @property
    def response_mask(self) -> list[int]:
        """1 for each token behind the prompt that the model sampled, 0 for crops and messages."""
        return [int(one) for one in self.sampled[self._prompt_length :]]

    def take(self, token_ids: Sequence[int]) -> int:
        """Takes a sampled segment and puts in what stands behind it; returns how many tokens were put in."""
        tokenizer = self._processor.tokenizer
        text = tokenizer.decode(list(token_ids), skip_special_tokens=True)
        self.row.accept(Segment(tuple(token_ids), text, _finish(token_ids, text, tokenizer), len(self.ids)))
        self._append(token_ids, sampled=True)
        self._read += bool(token_ids)
        before = len(self.ids)
        while not self.row.done and len(self.row.turn.parts) > self._read:
            pieces = [self._piece(part) for part in self.row.turn.parts[self._read :]]
            if len(self.ids) + sum(len(ids) for ids, _ in pieces) < self._most:
                for part, (ids, visual) in zip(self.row.turn.parts[self._read :], pieces, strict=True):
                    self._append(ids, sampled=False)
                    if part.image is not None:
                        self.images.append(part.image)
                        self.visual.append(visual)
                self._read = len(self.row.turn.parts)
            else:  # the loop takes the crop back and tells the model, or ends the row
                self.row.accept(Segment(status="overlong", error="no room for the crop"))
        return len(self.ids) - before

    def _append(self, ids: Sequence[int], *, sampled: bool) -> None:
        self.ids += ids
        self.sampled += [sampled] * len(ids)

    def _piece(self, part: Any) -> tuple[list[int], Mapping[str, Any]]:
        from rap_plugin.engines.hf.turns import piece_of

        ids, _, visual = piece_of(part, self._processor)
        return ids.tolist(), {name: value for name, value in visual.items() if not name.endswith("token_type_ids")}


def sampling_changes(processor: Any) -> dict[str, Any]:
    """vLLM's sampling parameters that the loop needs: where it stops, and no tokens that stand for images."""
    from rap_plugin.engines.facts import vision_tokens

    tokenizer = processor.tokenizer
    names = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<image>", "<IMG_CONTEXT>")
    known = tokenizer.get_vocab()
    banned = {*vision_tokens(processor, processor), *(known[name] for name in names if name in known)}
    return {
        "stop": list(STOPS),
        "include_stop_str_in_output": True,
        "detokenize": True,
        "logit_bias": dict.fromkeys(sorted(banned), -100.0),
    }


def facts_of(processor: Any) -> VisionFacts:
    """What a processor alone says of its model: its family by its class, its bounds on the area."""
    from types import SimpleNamespace

    from rap_plugin.engines.facts import vision_facts

    family = type(processor).__name__.removesuffix("Processor").lower()
    return vision_facts(SimpleNamespace(model_type=family), processor)


def options_of(environment: Mapping[str, str]) -> R3Config:
    """The options that a training run sets by environment variables. Raises RapError for a name or a value that is none."""
    known = [PREFIX + name.upper() for name in (*R3Config.model_fields, "reward")]
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            near = get_close_matches(name, known, 1)
            raise RapError(
                f"{name}: no such option{f'; is it {near[0]}' if near else ''}? There are {', '.join(known)}"
            )
    given = {
        name: environment[PREFIX + name.upper()]
        for name in R3Config.model_fields
        if PREFIX + name.upper() in environment
    }
    try:
        return R3Config.model_validate(given)
    except ValueError as error:
        line = str(error).splitlines()[1]
        raise RapError(f"{PREFIX}{line.upper()}: {str(error).splitlines()[2].strip()}") from None


def _finish(token_ids: Sequence[int], text: str, tokenizer: Any) -> Any:
    ends = {
        tokenizer.eos_token_id,
        *(tokenizer.convert_tokens_to_ids(name) for name in ("<|im_end|>", "<|endoftext|>")),
    }
    if token_ids and token_ids[-1] in ends:
        return "end"
    tail = text[-16:]
    return "closed" if any(stop in tail for stop in STOPS) else "length"
