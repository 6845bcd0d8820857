"""Sampling from a Transformers model: one prefill per prompt, M rollouts decoded from it together.

Draws are our own, so that a rollout depends on its seed and the model's logits alone: uniforms of a counter-based
generator, one a token, through the inverse of the cumulative distribution. The model itself is sampled, after
temperature and top_p; other warpers that a generation_config may ask for (top_k, penalties) are not applied.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rap_plugin.engines import ace
from rap_plugin.engines.hf.cache import make_room
from rap_plugin.engines.hf.chat import Batch, Prepared, collate
from rap_plugin.engines.hf.last_layer import LastLayer, LayerInputs
from rap_plugin.rollout import Finish

KEEP_SHARE = 0.75
"""Ended rows are dropped when at most this share of the rows goes on: dropping copies the whole cache once."""

NOT_A_NUMBER = "the model's logits are not finite numbers; try another dtype (model.dtype)"


@dataclass(frozen=True)
class Model:
    """A loaded model and the few facts about it that sampling needs."""

    network: Any
    last_layer: LastLayer
    end_ids: frozenset[int]
    """Tokens that end a response."""
    pad_id: int
    takes_positions: bool
    """forward has position_ids."""
    takes_keep: bool
    """forward has logits_to_keep."""


@dataclass
class Drawn:
    """One rollout while it is drawn."""

    token_ids: list[int] = field(default_factory=list)
    finish: Finish = "length"
    error: str = ""
    statistics: ace.Statistics | None = None
    """None where attention was not measured in the same pass."""


def sample(
    model: Model,
    group: Sequence[tuple[Prepared, Sequence[int]]],
    *,
    temperature: float,
    top_p: float,
    max_new_tokens: int,
    measure: bool,
) -> list[list[Drawn]]:
    """Draws one rollout per seed of every prompt of `group`, all rows in one batch.

    With `measure`, the last layer's queries are kept while decoding (rows x heads x tokens x head size numbers) and
    reduced with the cache's keys when a row has ended: no second pass.
    """
    seeds = [list(wanted) for _, wanted in group]
    drawn = [[Drawn() for _ in wanted] for wanted in seeds]
    flat = [seed for wanted in seeds for seed in wanted]
    uniforms = torch.from_numpy(np.stack([uniform_draws(seed, max_new_tokens) for seed in flat]))
    with torch.inference_mode():
        rows = _Rows(model, group, [row for rows in drawn for row in rows], max_new_tokens, measure)
        uniforms = uniforms.to(wide_dtype(rows.device)).to(rows.device)
        for step in range(max_new_tokens):
            tokens = draw_tokens(rows.logits, uniforms[rows.index, step], temperature, top_p)
            if rows.accept(tokens.tolist()):
                break
            last = step + 1 == max_new_tokens
            if last and not measure:
                break
            tokens = rows.compact(tokens)
            rows.forward(tokens)  # after the last draw too: a row of attention belongs to a token that was read
        rows.finish()
    return drawn


def wide_dtype(device: torch.device) -> torch.dtype:
    """float64 where the device has it: MPS has not."""
    return torch.float32 if device.type == "mps" else torch.float64


def uniform_draws(seed: int, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """`count` uniforms in [0, 1) of one rollout; a longer limit only adds to them."""
    return np.random.Generator(np.random.Philox(seed)).random(count)


def draw_tokens(logits: Tensor, uniforms: Tensor, temperature: float, top_p: float) -> Tensor:
    """One token per row by inverse transform sampling: the first whose cumulative probability exceeds u.

    logits (N, V), uniforms (N,) in [0, 1); returns (N,) token ids, -1 where the logits are not finite numbers.
    top_p keeps the smallest set of most probable tokens whose probability reaches it.
    """
    wide = wide_dtype(logits.device)
    probabilities = torch.softmax(logits.float() / temperature, dim=-1)
    order = None
    if top_p < 1.0:
        probabilities, order = probabilities.sort(dim=-1, descending=True, stable=True)
        before = probabilities.cumsum(dim=-1, dtype=wide) - probabilities
        probabilities = probabilities.masked_fill(before >= top_p, 0.0)
    cumulative = probabilities.cumsum(dim=-1, dtype=wide)
    total = cumulative[:, -1:]
    # Strictly below the total, whatever the rounding: else a token of probability zero could be drawn at the end.
    target = torch.minimum(uniforms[:, None].to(wide) * total, torch.nextafter(total, torch.zeros_like(total)))
    tokens = torch.searchsorted(cumulative, target, right=True).clamp_max(logits.shape[-1] - 1)
    if order is not None:
        tokens = order.gather(-1, tokens)
    return torch.where(torch.isfinite(total), tokens, -1)[:, 0]


class _Rows:
    """The rows that are still drawn: their cache, masks and positions, and what is kept for attention."""

    def __init__(
        self,
        model: Model,
        group: Sequence[tuple[Prepared, Sequence[int]]],
        drawn: list[Drawn],
        max_new_tokens: int,
        measure: bool,
    ) -> None:
        self.model = model
        self.device = model.network.device
        self.drawn = drawn
        self.index = torch.arange(len(drawn), device=self.device)
        self.live = list(range(len(drawn)))
        """Number, in `drawn`, of each row of the batch."""
        self.ended = [False] * len(drawn)
        self.measure = measure and not model.last_layer.reason
        batch = collate([prompt for prompt, _ in group], model.pad_id, model.network, model.takes_positions)
        parents = [at for at, (_, seeds) in enumerate(group) for _ in seeds]
        self.prompt_width = batch.inputs["input_ids"].shape[1]
        self.axes = batch.inputs["position_ids"].ndim if model.takes_positions else 0
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
        self.cache.batch_select_indices(chosen)
        make_room(self.cache)

    def accept(self, tokens: list[int]) -> bool:
        """Notes the tokens drawn for all rows; True when every row has ended."""
        for at, token in enumerate(tokens):
            if self.ended[at]:
                continue
            row = self.drawn[self.live[at]]
            if token < 0:
                row.error, self.ended[at] = NOT_A_NUMBER, True
                continue
            row.token_ids.append(token)
            if token in self.model.end_ids:
                row.finish, self.ended[at] = "stop", True
        return all(self.ended)

    def compact(self, tokens: Tensor) -> Tensor:
        """Measures and drops ended rows when enough have ended; returns the tokens of the rows that stay."""
        going = [at for at, ended in enumerate(self.ended) if not ended]
        if len(going) > KEEP_SHARE * len(self.live):
            return tokens.clamp_min(0)
        self._measure([at for at, ended in enumerate(self.ended) if ended])
        keep = torch.tensor(going, device=self.device)
        self.cache.batch_select_indices(keep)
        self.queries = [torch.cat(self.queries, dim=2)[keep]] if self.queries else []
        self.mask, self.positions, self.index = self.mask[keep], self.positions[keep], self.index[keep]
        self.live = [self.live[at] for at in going]
        self.starts = [self.starts[at] for at in going]
        self.ended = [False] * len(going)
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
            inputs["position_ids"] = positions if self.axes == 2 else positions.expand(3, -1, -1)
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


def prefill(model: Model, batch: Batch) -> tuple[Tensor, Any]:
    """One forward over B prompts: (logits (B, V) of the first response token, cache of keys and values)."""
    keep = {"logits_to_keep": 1} if model.takes_keep else {}
    output = model.network(**batch.inputs, use_cache=True, **keep)
    return output.logits[:, -1], output.past_key_values


def teacher_forced(
    model: Model, group: Sequence[tuple[Prepared, Sequence[Sequence[int]]]]
) -> list[list[ace.Statistics]]:
    """Attention statistics of given responses: one prefill per prompt, then one forward over all responses.

    Raises RuntimeError where the last layer cannot be seen.
    """
    spans = [[ace.usable_span(ids, model.end_ids)[1] for ids in responses] for _, responses in group]
    found = [[ace.unmeasured() for _ in responses] for _, responses in group]
    rows = [(at, n) for at, stops in enumerate(spans) for n, stop in enumerate(stops) if stop > 2]
    if not rows:
        return found
    stops = [spans[at][n] for at, n in rows]
    with torch.inference_mode():
        measured = _forced_forward(model, group, rows, stops)
    for (at, n), statistics in zip(rows, measured, strict=True):
        found[at][n] = statistics
    return found


def _forced_forward(
    model: Model,
    group: Sequence[tuple[Prepared, Sequence[Sequence[int]]]],
    rows: Sequence[tuple[int, int]],
    stops: Sequence[int],
) -> list[ace.Statistics]:
    """Reads the first `stops[r]` tokens of response n of prompt `at`, for every row r = (at, n)."""
    batch = collate([prompt for prompt, _ in group], model.pad_id, model.network, model.takes_positions)
    _, cache = prefill(model, batch)
    device = model.network.device
    parents = torch.tensor([at for at, _ in rows], device=device)
    cache.batch_select_indices(parents)
    width = max(stops)
    ids = torch.full((len(rows), width), model.pad_id)
    for row, (at, n) in enumerate(rows):
        ids[row, : stops[row]] = torch.tensor(list(group[at][1][n][: stops[row]]))
    mask = batch.inputs["attention_mask"][parents]
    behind = torch.arange(width, device=device) < torch.tensor(stops, device=device)[:, None]
    inputs: dict[str, Any] = {
        "input_ids": ids.to(device),
        "attention_mask": torch.cat((mask, behind.to(mask.dtype)), dim=1),
        "past_key_values": cache,
        "use_cache": True,
    }
    if model.takes_positions:
        positions = batch.next_positions[parents][:, None] + torch.arange(width, device=device)
        inputs["position_ids"] = positions if batch.inputs["position_ids"].ndim == 2 else positions.expand(3, -1, -1)
    if model.takes_keep:
        inputs["logits_to_keep"] = 1
    measured: list[list[ace.Statistics]] = []

    def reduce(layer: LayerInputs) -> None:
        forgotten = mask.shape[1] + width - layer.key.shape[2]  # keys that a sliding window has dropped from the cache
        measured.append(
            ace.measure(
                layer.query[:, :, 1:],
                layer.key,
                layer.scaling,
                rows=[stop - 1 for stop in stops],
                starts=[max(0, batch.starts[at] - forgotten) for at, _ in rows],
                sliding_window=layer.sliding_window,
                softcap=layer.softcap,
            )
        )

    with model.last_layer.showing(reduce):
        model.network(**inputs)
    if len(measured) != 1:
        raise RuntimeError(model.last_layer.reason or f"{type(model.network).__name__}: its last layer was not seen")
    return measured[0]


def end_tokens(network: Any, tokenizer: Any) -> frozenset[int]:
    """All tokens that end a response: those of the generation configuration and of the tokenizer."""
    ends: set[int] = set()
    for source in (getattr(network, "generation_config", None), tokenizer):
        value = getattr(source, "eos_token_id", None)
        ends.update(value if isinstance(value, Collection) else [] if value is None else [value])
    return frozenset(ends)
