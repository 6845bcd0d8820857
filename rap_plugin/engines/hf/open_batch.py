"""A batch that rows join and leave while others are drawn: a row that has ended makes room at once, not when all have.

All rows end at the right edge of one cache. Rows that join are read in a batch of their own, whose cache is then laid beside
the one of the rows that go on; columns in front of the longest row are dropped. A turn whose last segment was drawn here keeps
what the model has read of it: when it joins again, only what is new is read.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer

from rap_plugin.engines.hf.cache import close_gaps, lay_together
from rap_plugin.engines.hf.chat import ModelInputs
from rap_plugin.engines.hf.decoding import SampledResponse, prefill
from rap_plugin.engines.hf.draws import cumulative_dtype, draw_tokens
from rap_plugin.engines.hf.loading import LoadedModel
from rap_plugin.engines.hf.padding import pad_prompts
from rap_plugin.engines.hf.paths import logits_alike
from rap_plugin.engines.turns import Turn
from rap_plugin.rollout import Sampling

log = logging.getLogger("rap_plugin.engines")

FREE_SHARE = 0.25
"""Ended rows leave, and others join, when they are this share of the batch: either copies the whole cache once."""

CHEAP_PADDING = 1e8
"""Parameters x padding tokens up to which one forward of rows of different lengths costs less than two."""


class CannotJoin(ValueError):
    """The model's cache is none that rows can join: it forgets keys, or keeps other things than them."""


@dataclass(eq=False)
class OpenRow:
    """One turn while its next segment is drawn."""

    turn: Turn
    response: SampledResponse
    uniforms: np.ndarray[Any, np.dtype[np.float64]]
    """One for each token that it may have."""
    inputs: ModelInputs
    """What stands in front of the segment."""
    before: ModelInputs | None = None
    """What stood in front of the turn's last segment; None for a turn that begins."""
    new_visual: dict[str, Tensor] = field(default_factory=dict)
    """Visual inputs of what stands behind `before`."""

    @property
    def read(self) -> int:
        """Tokens that the model has read: all but the one drawn last."""
        return self.inputs.length + len(self.response.token_ids) - 1

    def tail(self, start: int) -> ModelInputs:
        """What stands in front of the segment from token `start` on, which stands behind `before`."""
        along = {name: values[start:] for name, values in self.inputs.aligned.items()}
        ids, positions = self.inputs.ids[start:], self.inputs.positions[:, start:]
        return ModelInputs(ids, positions, self.inputs.next_position, along, self.new_visual)


@dataclass(frozen=True, slots=True)
class _Prefilled:
    """Rows that have been read and not joined yet."""

    rows: Sequence[OpenRow]
    cache: Any
    logits: Tensor
    """(N, V) of their first tokens."""
    positions: Tensor
    """(N,) of their first tokens."""


class OpenBatch:
    """The rows that are drawn now; see the module."""

    def __init__(self, model: LoadedModel, sampling: Sampling, banned: Sequence[int]) -> None:
        self._model, self._sampling, self._banned = model, sampling, list(banned)
        self._parameters = sum(parameter.numel() for parameter in model.network.parameters())
        self.rows: list[OpenRow] = []
        """In the order of the batch; some have ended and not left yet."""
        self._lengths: list[int] = []
        """Tokens of every row in the cache."""
        self._cache: Any = None
        self._logits = self._positions = torch.empty(0)

    @property
    def running(self) -> int:
        """Rows that have not ended."""
        return sum(not row.response.ended for row in self.rows)

    def room(self, size: int) -> int:
        """How many rows a batch of at most `size` takes now; 0 while letting them join would cost more than it brings."""
        free = size - self.running
        return free if free >= FREE_SHARE * min(size, len(self.rows) or size) else 0

    def join(self, rows: Sequence[OpenRow]) -> None:
        """Reads what is new in front of rows and draws them from now on; rows that have ended leave.

        Where it raises, nothing has changed.
        """
        with torch.inference_mode():
            new = self._read_new([(row, self._place(row)) for row in rows])
            self._keep(self._going(), new)

    def leave(self) -> None:
        """Lets rows that have ended go, and what was read of them."""
        if 0 < self.running < len(self.rows):
            with torch.inference_mode():
                self._keep(self._going())

    def step(self) -> list[OpenRow]:
        """Draws one token for every row and reads it; returns the rows that ended with it."""
        with torch.inference_mode():
            if self._banned:
                self._logits[:, self._banned] = -torch.inf
            wide = cumulative_dtype(self._logits.device)
            at = [min(len(row.response.token_ids), len(row.uniforms) - 1) for row in self.rows]
            chosen = np.array([row.uniforms[one] for row, one in zip(self.rows, at, strict=True)])
            uniforms = torch.from_numpy(chosen).to(wide).to(self._logits.device)
            drawn = draw_tokens(self._logits, uniforms, self._sampling.temperature, self._sampling.top_p)
            going = [row for row in self.rows if not row.response.ended]
            tokens = [
                row.response.accept(token, self._model.end_ids)
                for row, token in zip(self.rows, drawn.tolist(), strict=True)
            ]
            ended = [row for row in going if row.response.ended]
            if len(ended) < len(going):
                self._read(tokens)
        return ended

    def clear(self) -> list[OpenRow]:
        """Lets all rows and the cache go; returns the rows that had not ended."""
        left = [row for row in self.rows if not row.response.ended]
        self.rows, self._lengths, self._cache = [], [], None
        self._logits = self._positions = torch.empty(0)
        return left

    def _going(self) -> list[int]:
        return [at for at, row in enumerate(self.rows) if not row.response.ended]

    def _place(self, row: OpenRow) -> int | None:
        """Which row of the batch holds the turn as it stood in front of its last segment."""
        model = self._model
        if row.before is None or not model.keeps or not (model.tried_keeping or row.new_visual):
            return None
        return next((at for at, one in enumerate(self.rows) if one.inputs is row.before), None)

    def _read(self, tokens: Sequence[int]) -> None:
        """One token per row; `_logits` are then those of the next."""
        device = self._logits.device
        self._lengths = [length + 1 for length in self._lengths]
        width = self._cache.layers[0].keys.shape[-2] + 1
        starts = width - torch.tensor(self._lengths, device=device)
        inputs: dict[str, Any] = {
            "input_ids": torch.tensor(tokens, device=device)[:, None],
            "attention_mask": (torch.arange(width, device=device) >= starts[:, None]).long(),
            "past_key_values": self._cache,
            "use_cache": True,
        }
        axes = len(self.rows[0].inputs.positions)
        positions = self._positions[:, None]
        inputs["position_ids"] = positions if axes == 1 else positions.expand(axes, -1, -1)
        self._logits = self._model.network(**inputs).logits[:, -1]
        self._positions = self._positions + 1

    def _read_new(self, rows: Sequence[tuple[OpenRow, int | None]]) -> list[_Prefilled]:
        """Reads what the batch has not of rows; each with the place of what it has, None for nothing."""
        further: list[tuple[OpenRow, int | None]] = [(row, place) for row, place in rows if place is not None]
        whole = [row for row, place in rows if place is None]
        if further and whole and self._model.tried_keeping:
            lengths = [row.inputs.length - (0 if place is None else self.rows[place].read) for row, place in rows]
            padding = max(lengths) * len(lengths) - sum(lengths)
            if padding * self._parameters <= CHEAP_PADDING:
                further, whole = list(rows), []
        found = [self._read_on(further)] if further else []
        if not self._model.keeps:  # as may just have been seen
            found, whole = [], [row for row, _ in rows]
        return [*found, _read_whole(self._model, whole)] if whole else found

    def _read_on(self, rows: Sequence[tuple[OpenRow, int | None]]) -> _Prefilled:
        """Reads what rows have got since their last segment began, behind what is kept of them."""
        model, device = self._model, self._model.network.device
        read = [0 if place is None else self.rows[place].read for _, place in rows]
        # Behind a row's last token stand those of end tokens that were read for it while others went on.
        lengths = torch.tensor([0 if place is None else self._lengths[place] for _, place in rows])
        places = torch.tensor([place or 0 for _, place in rows], device=device)  # of a new row no column is looked at
        kept = copy.copy(self._cache)
        kept.layers = [lay_together([(layer, places)], int(lengths.max())) for layer in self._cache.layers]
        columns = torch.arange(int(lengths.max())) - (lengths.max() - lengths)[:, None]
        known = (columns >= 0) & (columns < torch.tensor(read)[:, None])
        tails = [row.tail(length) if length else row.inputs for (row, _), length in zip(rows, read, strict=True)]
        batch = pad_prompts(tails, model.pad_id, model.network, model.takes_positions)
        mask = torch.cat((known.long().to(device), batch.inputs["attention_mask"]), dim=1)
        batch.inputs["attention_mask"] = mask
        logits, cache = prefill(model, batch, kept)
        if not model.tried_keeping:
            self._try_keeping(rows[0][0], logits[0])
        order = mask.argsort(dim=1, stable=True)  # columns without a token go to the front
        for layer in cache.layers:
            close_gaps(layer, order)
        return _Prefilled([row for row, _ in rows], cache, logits, batch.next_positions)

    def _try_keeping(self, row: OpenRow, logits: Tensor) -> None:
        """Compares the logits (V,) of a row that got an image with those of reading all of it, once for a model.

        Some models let the tokens of a prompt look at later ones, which they do not behind a cache.
        """
        model = self._model
        model.keeps = logits_alike(model, logits, _read_whole(model, [row]).logits[0])
        model.tried_keeping = True
        if not model.keeps:
            log.warning("%s: a turn is read anew for each of its segments", type(model.network).__name__)

    def _keep(self, kept: Sequence[int], new: Sequence[_Prefilled] = ()) -> None:
        """Goes on with the rows `kept` and with those that join; changes nothing where memory runs out."""
        joined = [row for one in new for row in one.rows]
        lengths = [*(self._lengths[at] for at in kept), *(row.inputs.length for row in joined)]
        chosen = torch.tensor(kept, device=self._model.network.device, dtype=torch.long)
        caches = [(self._cache, chosen)] if kept else []
        caches += [(one.cache, None) for one in new]
        layers = [
            lay_together([(cache.layers[at], rows) for cache, rows in caches], max(lengths))
            for at in range(len(caches[0][0].layers))
        ]
        logits = [*([self._logits[chosen]] if kept else []), *(one.logits for one in new)]
        positions = [*([self._positions[chosen]] if kept else []), *(one.positions for one in new)]
        self._logits, self._positions = torch.cat(logits), torch.cat(positions)
        self._cache = caches[-1][0]
        self._cache.layers = layers
        self.rows, self._lengths = [*(self.rows[at] for at in kept), *joined], lengths


def _read_whole(model: LoadedModel, rows: Sequence[OpenRow]) -> _Prefilled:
    """Reads all that stands in front of rows. Raises CannotJoin where the cache is none that rows can join."""
    batch = pad_prompts([row.inputs for row in rows], model.pad_id, model.network, model.takes_positions)
    logits, cache = prefill(model, batch)
    width = batch.inputs["input_ids"].shape[1]
    if any(type(layer) is not DynamicLayer or layer.keys.shape[-2] != width for layer in cache.layers):
        raise CannotJoin(f"{type(model.network).__name__}: its cache is not one of plain keys and values")
    return _Prefilled(rows, cache, logits, batch.next_positions)


def shared_by_rows(model: LoadedModel) -> bool:
    """Whether rows may join a batch of this model that is at work, as far as is known before its first one."""
    return model.pads and model.joins and model.takes_positions and not model.own_generate
