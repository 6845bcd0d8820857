"""The way that fits a model: prompts padded into one batch, each prompt alone, or the model's own `generate`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from rap_plugin.engines import ace
from rap_plugin.engines.ace_tokens import ColumnShares
from rap_plugin.engines.hf.chat import ModelInputs
from rap_plugin.engines.hf.decoding import SampledResponse, draw_rows, prefill, sample_batch
from rap_plugin.engines.hf.forced import forced_tokens, teacher_forced
from rap_plugin.engines.hf.loading import LoadedModel
from rap_plugin.engines.hf.own_generate import measure_prompt, sample_prompt
from rap_plugin.engines.hf.padding import pad_prompts
from rap_plugin.evidence.variants import Variant
from rap_plugin.rollout import Sampling

T = TypeVar("T")

log = logging.getLogger("rap_plugin.engines")

ALIKE, ALIKE_HALF = 1e-3, 0.15
"""Relative difference of logits that another shape of the batch makes at most, in float32 and in 16 bits."""

Prompts = Sequence[tuple[ModelInputs, Sequence[T]]]
"""Each prompt with one thing for every response of it: its seed, or its tokens."""


def sample(model: LoadedModel, group: Prompts[int], sampling: Sampling, measure: bool) -> list[list[SampledResponse]]:
    """Draws one rollout per seed of every prompt."""
    limits = {"temperature": sampling.temperature, "top_p": sampling.top_p}
    if model.own_generate:
        return [
            sample_prompt(model, prompt, seeds, **limits, max_new_tokens=sampling.max_new_tokens, measure=measure)
            for prompt, seeds in group
        ]
    drawn: list[list[SampledResponse]] = []
    for part in _batches(model, group):
        drawn += sample_batch(model, part, **limits, max_new_tokens=sampling.max_new_tokens, measure=measure)
    return drawn


def draw_turns(
    model: LoadedModel,
    prompts: Sequence[ModelInputs],
    rows: Sequence[SampledResponse],
    uniforms: np.ndarray[Any, np.dtype[np.float64]],
    sampling: Sampling,
    banned: Sequence[int],
) -> None:
    """Draws one row per prompt, in place; `uniforms` (rows, tokens). Raises ValueError where the model cannot do this."""
    if model.own_generate:
        raise ValueError(f"the model reads on only by its own generate ({model.own_generate}); turns need plain steps")
    group = [(inputs, [at]) for at, inputs in enumerate(prompts)]
    for part in _batches(model, group):
        chosen = [at for _, (at,) in part]
        draw_rows(
            model,
            part,
            [rows[at] for at in chosen],
            uniforms[chosen],
            sampling.temperature,
            sampling.top_p,
            banned=banned,
        )


def measure(model: LoadedModel, group: Prompts[Sequence[int]]) -> list[list[ace.Statistics | None]]:
    """Attention statistics of responses that are there already; None where the model did not show its last layer."""
    if model.own_generate:
        return [measure_prompt(model, prompt, responses) for prompt, responses in group]
    found: list[list[ace.Statistics | None]] = []
    for part in _batches(model, group):
        found += [list(rows) for rows in teacher_forced(model, part)]
    return found


def measure_tokens(
    model: LoadedModel, group: Prompts[Sequence[int]], variant: Variant
) -> list[list[ColumnShares | None]]:
    """The same token by token; raises ValueError for a model that reads on by its own `generate` alone."""
    if model.own_generate:
        raise ValueError(f"the model reads on only by its own generate ({model.own_generate})")
    found: list[list[ColumnShares | None]] = []
    for part in _batches(model, group):
        found += forced_tokens(model, part, variant)
    return found


def _batches(model: LoadedModel, group: Prompts[T]) -> Iterator[Prompts[T]]:
    if pads_alike(model, [inputs for inputs, _ in group]):
        yield group
    else:
        yield from ([one] for one in group)


def pads_alike(model: LoadedModel, prompts: Sequence[ModelInputs]) -> bool:
    """Whether prompts may share a batch; tried once, with the first two or more that bring images."""
    pictured = sorted((inputs for inputs in prompts if inputs.visual), key=lambda inputs: inputs.length)
    if model.pads and not model.tried and len(pictured) > 1:
        model.pads = _same_together(model, pictured[0], pictured[-1])
        model.tried = True
        if not model.pads:
            log.warning(
                "%s: prompts in one batch change each other; each is sampled alone", type(model.network).__name__
            )
    return model.pads


def _same_together(model: LoadedModel, short: ModelInputs, long: ModelInputs) -> bool:
    """Whether a prompt's first logits are the same alone and padded beside another one with images.

    Some vision towers let the images of a batch look at each other.
    """
    with torch.inference_mode():
        together, alone = (
            prefill(model, pad_prompts(prompts, model.pad_id, model.network, model.takes_positions))[0][0]
            for prompts in ([short, long], [short])
        )
    return logits_alike(model, together, alone)


def logits_alike(model: LoadedModel, found: Tensor, wanted: Tensor) -> bool:
    """Whether logits (V,) differ by no more than another shape of the batch makes them differ."""
    tolerance = ALIKE if model.network.dtype is torch.float32 else ALIKE_HALF
    found, wanted = found.float(), wanted.float()
    spread = (wanted - wanted.mean()).norm().clamp_min(1e-30)
    # Written so that logits that are no numbers pass: they are told when a token is drawn.
    return not bool((found - wanted).norm() / spread > tolerance)
