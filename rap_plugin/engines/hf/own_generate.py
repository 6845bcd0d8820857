"""Models that only their own `generate` can read on with: it runs, and is told which token to take at every step.

Cross-attention masks, an encoder, prompts that are no token ids: what such a model carries from step to step is its own
affair. The draws are ours, as everywhere. This is slower than `decoding`: a prompt is read once for every rollout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rap_plugin.engines import ace
from rap_plugin.engines.hf.chat import ModelInputs
from rap_plugin.engines.hf.decoding import SampledResponse
from rap_plugin.engines.hf.draws import cumulative_dtype, draw_tokens, uniform_draws
from rap_plugin.engines.hf.last_layer import LayerInputs
from rap_plugin.engines.hf.loading import LoadedModel
from rap_plugin.engines.hf.padding import pad_prompts


def sample_prompt(
    model: LoadedModel,
    prompt: ModelInputs,
    seeds: Sequence[int],
    *,
    temperature: float,
    top_p: float,
    max_new_tokens: int,
    measure: bool,
) -> list[SampledResponse]:
    """Draws one rollout of a prompt per seed."""
    rows = [SampledResponse() for _ in seeds]
    device = model.network.device
    uniforms = torch.from_numpy(np.stack([uniform_draws(seed, max_new_tokens) for seed in seeds]))
    uniforms = uniforms.to(cumulative_dtype(device)).to(device)

    def draw(step: int, logits: Tensor) -> list[int]:
        if step == max_new_tokens:  # read once more: a row of attention belongs to a token that was read
            return [model.pad_id] * len(rows)
        tokens = draw_tokens(logits, uniforms[:, step], temperature, top_p).tolist()
        return [row.accept(token, model.end_ids) for row, token in zip(rows, tokens, strict=True)]

    seen = _generate(model, prompt, len(rows), draw, max_new_tokens + measure, measure)
    if measure and not model.last_layer.reason:
        _measure(model, rows, seen)
    return rows


def measure_prompt(
    model: LoadedModel, prompt: ModelInputs, responses: Sequence[Sequence[int]]
) -> list[ace.Statistics | None]:
    """Attention statistics of responses that are there already; None where the model did not show its last layer."""
    rows = [SampledResponse(list(tokens)) for tokens in responses]
    longest = max(map(len, responses))

    def follow(step: int, logits: Tensor) -> list[int]:
        return [row.token_ids[step] if step < len(row.token_ids) else model.pad_id for row in rows]

    if longest:
        seen = _generate(model, prompt, len(rows), follow, longest + 1, True, stop=False)
        _measure(model, rows, seen)
    return [row.statistics for row in rows]


class _Seen:
    """What the last layer showed: its queries of response tokens, one a step, and the keys of the last step."""

    def __init__(self) -> None:
        self.queries: list[Tensor] = []
        self.prompt_keys = 0
        self.layer: LayerInputs | None = None

    def add(self, layer: LayerInputs) -> None:
        if self.layer is None:
            self.prompt_keys = layer.key.shape[2]
        else:
            self.queries.append(layer.query[:, :, -1:])  # a model without a cache reads everything again
        self.layer = layer


def _generate(
    model: LoadedModel,
    prompt: ModelInputs,
    rows: int,
    choose: Callable[[int, Tensor], list[int]],
    max_new_tokens: int,
    measure: bool,
    *,
    stop: bool = True,
) -> _Seen:
    """Runs the model's `generate` for `rows` copies of a prompt; `choose(step, logits (N, V))` gives the tokens."""
    from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

    class Choose(LogitsProcessor):  # type: ignore[misc]
        step = 0

        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            tokens = torch.tensor(choose(self.step, scores), device=scores.device)
            self.step += 1
            return torch.full_like(scores, -torch.inf).scatter_(1, tokens[:, None], 0.0)

    seen = _Seen()
    inputs = pad_prompts([prompt], model.pad_id, model.network, takes_positions=False).inputs
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=True,  # of one token that is certain: else `generate` makes no copies
        num_return_sequences=rows,
        eos_token_id=sorted(model.end_ids) if stop and model.end_ids else None,
        pad_token_id=model.pad_id,
        top_k=0,
        use_cache=True,
        decoder_start_token_id=getattr(model.network.generation_config, "decoder_start_token_id", None),
    )
    with torch.inference_mode(), torch.random.fork_rng(), _plain_settings(model.network, settings):
        run: Any = lambda: model.network.generate(  # noqa: E731
            **inputs, generation_config=settings, logits_processor=LogitsProcessorList([Choose()])
        )
        if measure:
            with model.last_layer.showing(seen.add):
                run()
        else:
            run()
    return seen


@contextmanager
def _plain_settings(network: Any, settings: Any) -> Iterator[None]:
    """The model's own generation settings out of the way: what is not set would be filled in from them."""
    own, network.generation_config = network.generation_config, settings
    try:
        yield
    finally:
        network.generation_config = own


def _measure(model: LoadedModel, rows: Sequence[SampledResponse], seen: _Seen) -> None:
    stops = [ace.usable_span(row.token_ids, model.end_ids)[1] for row in rows]
    for row, stop in zip(rows, stops, strict=True):
        if stop <= 2 and not row.error:
            row.statistics = ace.unmeasured()
    chosen = [at for at, row in enumerate(rows) if stops[at] > 2 and not row.error]
    if not chosen or seen.layer is None or seen.layer.key.shape[2] != seen.prompt_keys + len(seen.queries):
        return
    stop = max(stops[at] for at in chosen)
    queries = torch.cat(seen.queries, dim=2)
    some = torch.tensor(chosen, device=queries.device)
    found = ace.measure(
        queries[some, :, 1:stop],
        seen.layer.key[some, :, : seen.prompt_keys + stop],
        seen.layer.scaling,
        rows=[stops[at] - 1 for at in chosen],
        sliding_window=seen.layer.sliding_window,
        softcap=seen.layer.softcap,
    )
    for at, statistics in zip(chosen, found, strict=True):
        rows[at].statistics = statistics
