"""Sampling from a Transformers model: one prefill per prompt, M rollouts decoded from it together.

How a token is drawn from logits is told in `draws`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rap_plugin.engines import ace
from rap_plugin.engines.hf.cache import make_room, select_rows
from rap_plugin.engines.hf.chat import ModelInputs
from rap_plugin.engines.hf.draws import cumulative_dtype, draw_tokens, uniform_draws
from rap_plugin.engines.hf.last_layer import LayerInputs
from rap_plugin.engines.hf.loading import LoadedModel
from rap_plugin.engines.hf.padding import PaddedBatch, pad_prompts
from rap_plugin.rollout import Finish

KEEP_SHARE = 0.75
"""Ended rows are dropped when at most this share of the rows goes on: dropping copies the whole cache once."""

NOT_A_NUMBER = "the model's logits are not finite numbers; try another dtype (model.dtype)"


@dataclass
class SampledResponse:
    """One rollout while it is drawn."""

    token_ids: list[int] = field(default_factory=list)
    finish: Finish = "length"
    error: str = ""
    statistics: ace.Statistics | None = None
    """None where attention was not measured in the same pass."""
    ended: bool = False
    stopped: bool = False
    """Whether its own `stop` ended it."""
    stop: Callable[[Sequence[int]], bool] | None = None
    """Whether a response of these tokens is at its end; for texts that end one, as the end token does."""
    most: int | None = None
    """Tokens it may have, where that is less than the batch's limit."""

    def accept(self, token: int, end_ids: Collection[int]) -> int:
        """Notes a drawn token, -1 for none; returns the one to read next, an end token for a response that has ended."""
        if not self.ended and token < 0:
            self.error, self.ended = NOT_A_NUMBER, True
        elif not self.ended:
            self.token_ids.append(token)
            if token in end_ids:
                self.finish, self.ended = "stop", True
            elif self.stop is not None and self.stop(self.token_ids):
                self.finish, self.ended, self.stopped = "stop", True, True
            elif self.most is not None and len(self.token_ids) >= self.most:
                self.ended = True
        return min(end_ids, default=0) if self.ended else token


def sample_batch(
    model: LoadedModel,
    group: Sequence[tuple[ModelInputs, Sequence[int]]],
    *,
    temperature: float,
    top_p: float,
    max_new_tokens: int,
    measure: bool,
) -> list[list[SampledResponse]]:
    """Draws one rollout per seed of every prompt of `group`, all rows in one batch.

    With `measure`, the last layer's queries are kept while decoding (rows x heads x tokens x head size numbers) and
    reduced with the cache's keys when a row has ended: no second pass.
    """
    seeds = [list(wanted) for _, wanted in group]
    drawn = [[SampledResponse() for _ in wanted] for wanted in seeds]
    flat = [seed for wanted in seeds for seed in wanted]
    uniforms = np.stack([uniform_draws(seed, max_new_tokens) for seed in flat])
    draw_rows(model, group, [row for rows in drawn for row in rows], uniforms, temperature, top_p, measure=measure)
    return drawn


def draw_rows(
    model: LoadedModel,
    group: Sequence[tuple[ModelInputs, Sequence[int]]],
    drawn: list[SampledResponse],
    uniforms: np.ndarray[Any, np.dtype[np.float64]],
    temperature: float,
    top_p: float,
    *,
    measure: bool = False,
    banned: Sequence[int] = (),
) -> None:
    """Draws all rows of a group in one batch, in place: one row per seed, with its uniforms (rows, tokens).

    Tokens of `banned` are never drawn.
    """
    limit = uniforms.shape[1]
    with torch.inference_mode():
        rows = _RunningRows(model, group, drawn, limit, measure)
        draws = torch.from_numpy(uniforms).to(cumulative_dtype(rows.device)).to(rows.device)
        for step in range(limit):
            if banned:
                rows.logits[:, banned] = -torch.inf
            tokens = draw_tokens(rows.logits, draws[rows.index, step], temperature, top_p)
            if rows.accept(tokens.tolist()):
                break
            last = step + 1 == limit
            if last and not measure:
                break
            tokens = rows.compact(tokens)
            rows.forward(tokens)  # after the last draw too: a row of attention belongs to a token that was read
        rows.finish()


class _RunningRows:
    """The rows that are still drawn: their cache, masks and positions, and what is kept for attention."""

    def __init__(
        self,
        model: LoadedModel,
        group: Sequence[tuple[ModelInputs, Sequence[int]]],
        drawn: list[SampledResponse],
        max_new_tokens: int,
        measure: bool,
    ) -> None:
        self.model = model
        self.device = model.network.device
        self.drawn = drawn
        self.index = torch.arange(len(drawn), device=self.device)
        self.live = list(range(len(drawn)))
        """Number, in `drawn`, of each row of the batch."""
        self.measure = measure and not model.last_layer.reason
        batch = pad_prompts([prompt for prompt, _ in group], model.pad_id, model.network, model.takes_positions)
        parents = [at for at, (_, seeds) in enumerate(group) for _ in seeds]
        self.prompt_width = batch.inputs["input_ids"].shape[1]
        self.axes = len(group[0][0].positions) if model.takes_positions else 0
        self.starts = [batch.starts[parent] for parent in parents]
        self.steps = 0
        self.queries: list[Tensor] = []
        self.layer: LayerInputs | None = None
        logits, self.cache = prefill(model, batch)
        chosen = torch.tensor(parents, device=self.device)
        self.logits = logits[chosen]
        self.positions = batch.next_positions[chosen]
        mask = batch.inputs["attention_mask"][chosen]
        self.mask = torch.cat((mask, mask.new_ones(len(parents), max_new_tokens)), dim=1)
        select_rows(self.cache, chosen)
        make_room(self.cache)

    def accept(self, tokens: list[int]) -> bool:
        """Notes the tokens drawn for all rows; True when every row has ended."""
        rows = [self.drawn[number] for number in self.live]
        for row, token in zip(rows, tokens, strict=True):
            row.accept(token, self.model.end_ids)
        return all(row.ended for row in rows)

    def compact(self, tokens: Tensor) -> Tensor:
        """Measures and drops ended rows when enough have ended; returns the tokens of the rows that stay."""
        ended = [self.drawn[number].ended for number in self.live]
        going = [at for at, over in enumerate(ended) if not over]
        if len(going) > KEEP_SHARE * len(self.live):
            return tokens.clamp_min(0)
        self._measure([at for at, over in enumerate(ended) if over])
        keep = torch.tensor(going, device=self.device)
        select_rows(self.cache, keep)
        self.queries = [torch.cat(self.queries, dim=2)[keep]] if self.queries else []
        self.mask, self.positions, self.index = self.mask[keep], self.positions[keep], self.index[keep]
        self.live = [self.live[at] for at in going]
        self.starts = [self.starts[at] for at in going]
        return tokens[keep]

    def forward(self, tokens: Tensor) -> None:
        """Reads one token per row; `logits` are then those of the next."""
        self.steps += 1
        inputs: dict[str, Any] = {
            "input_ids": tokens[:, None],
            "attention_mask": self.mask[:, : self.prompt_width + self.steps],
            "past_key_values": self.cache,
            "use_cache": True,
        }
        if self.axes:
            positions = (self.positions + self.steps - 1)[:, None]
            inputs["position_ids"] = positions if self.axes == 1 else positions.expand(self.axes, -1, -1)
        if self.measure:
            with self.model.last_layer.showing(self._keep):
                output = self.model.network(**inputs)
        else:
            output = self.model.network(**inputs)
        self.logits = output.logits[:, -1]

    def finish(self) -> None:
        """Measures the rows that are left."""
        self._measure(list(range(len(self.live))))

    def _keep(self, layer: LayerInputs) -> None:
        self.queries.append(layer.query)
        self.layer = layer

    def _measure(self, chosen: list[int]) -> None:
        """Attention of the chosen rows from the kept queries and the keys in the cache, as far as both reach."""
        chosen = [at for at in chosen if not self.drawn[self.live[at]].error]
        if not self.measure or not chosen:
            return
        stops = [ace.usable_span(self.drawn[self.live[at]].token_ids, self.model.end_ids)[1] for at in chosen]
        stop = max(stops)
        if stop == 1:
            for at in chosen:
                self.drawn[self.live[at]].statistics = ace.unmeasured()
            return
        if self.layer is None or self.layer.key.shape[2] != self.prompt_width + self.steps:
            return  # the layer's cache forgets keys (sliding window), or it was never called
        rows = torch.tensor(chosen, device=self.device)
        self.queries = [torch.cat(self.queries, dim=2)]
        found = ace.measure(
            self.queries[0][rows, :, 1:stop],
            self.layer.key[rows, :, : self.prompt_width + stop],
            self.layer.scaling,
            rows=[end - 1 for end in stops],
            starts=[self.starts[at] for at in chosen],
            sliding_window=self.layer.sliding_window,
            softcap=self.layer.softcap,
        )
        for at, statistics in zip(chosen, found, strict=True):
            self.drawn[self.live[at]].statistics = statistics


def prefill(model: LoadedModel, batch: PaddedBatch, cache: Any = None) -> tuple[Tensor, Any]:
    """One forward over B prompts: (logits (B, V) of the first response token, cache of keys and values).

    With a `cache` they stand behind it: it is added to, and the batch's attention mask covers both.
    """
    behind = {} if cache is None else {"past_key_values": cache}
    keep = {"logits_to_keep": 1} if model.takes_keep else {}
    output = model.network(**batch.inputs, **behind, use_cache=True, **keep)
    return output.logits[:, -1], output.past_key_values
