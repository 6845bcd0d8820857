"""Attention of responses that are there already: the model reads them again, with their own tokens given to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from rap_plugin.engines import ace
from rap_plugin.engines.ace_tokens import ColumnShares, measure_tokens
from rap_plugin.engines.hf.cache import select_rows
from rap_plugin.engines.hf.chat import ModelInputs
from rap_plugin.engines.hf.decoding import prefill
from rap_plugin.engines.hf.last_layer import LayerInputs
from rap_plugin.engines.hf.loading import LoadedModel
from rap_plugin.engines.hf.padding import pad_prompts
from rap_plugin.evidence.variants import Variant

Given = Sequence[tuple[ModelInputs, Sequence[Sequence[int]]]]
"""Prompts with the token ids of their responses."""

T = TypeVar("T")


def teacher_forced(model: LoadedModel, group: Given) -> list[list[ace.Statistics]]:
    """Attention statistics of given responses: one prefill per prompt, then one forward over all responses.

    Raises RuntimeError where the last layer cannot be seen.
    """
    return _forced(model, group, ace.measure, ace.unmeasured)


def forced_tokens(model: LoadedModel, group: Given, variant: Variant) -> list[list[ColumnShares | None]]:
    """The same, token by token; None where a response is too short."""

    def measure(query: Tensor, key: Tensor, scaling: float, **more: Any) -> list[ColumnShares | None]:
        return measure_tokens(query, key, scaling, variant, **more)

    return _forced(model, group, measure, lambda: None)


def _forced(
    model: LoadedModel, group: Given, measure: Callable[..., list[T]], too_short: Callable[[], T]
) -> list[list[T]]:
    spans = [[ace.usable_span(ids, model.end_ids)[1] for ids in responses] for _, responses in group]
    found = [[too_short() for _ in responses] for _, responses in group]
    rows = [(at, n) for at, stops in enumerate(spans) for n, stop in enumerate(stops) if stop > 2]
    if not rows:
        return found
    stops = [spans[at][n] for at, n in rows]
    with torch.inference_mode():
        measured = _forced_forward(model, group, rows, stops, measure)
    for (at, n), one in zip(rows, measured, strict=True):
        found[at][n] = one
    return found


def _forced_forward(
    model: LoadedModel,
    group: Given,
    rows: Sequence[tuple[int, int]],
    stops: Sequence[int],
    measure: Callable[..., list[T]],
) -> list[T]:
    """Reads the first `stops[r]` tokens of response n of prompt `at`, for every row r = (at, n)."""
    batch = pad_prompts([prompt for prompt, _ in group], model.pad_id, model.network, model.takes_positions)
    _, cache = prefill(model, batch)
    device = model.network.device
    parents = torch.tensor([at for at, _ in rows], device=device)
    select_rows(cache, parents)
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
        axes = len(group[0][0].positions)
        positions = batch.next_positions[parents][:, None] + torch.arange(width, device=device)
        inputs["position_ids"] = positions if axes == 1 else positions.expand(axes, -1, -1)
    if model.takes_keep:
        inputs["logits_to_keep"] = 1
    measured: list[list[T]] = []

    def reduce(layer: LayerInputs) -> None:
        forgotten = mask.shape[1] + width - layer.key.shape[2]  # keys that a sliding window has dropped from the cache
        measured.append(
            measure(
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
